// Package pb holds the messages of package admission, generated from admission.proto by go generate.
package pb

//go:generate sh -c "go build -o /tmp/cairn-admission-protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go && protoc --plugin=protoc-gen-go=/tmp/cairn-admission-protoc-gen-go --go_out=. --go_opt=paths=source_relative admission.proto; rm -f /tmp/cairn-admission-protoc-gen-go"
