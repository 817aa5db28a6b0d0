// Package pb holds the payload of membership documents, generated from statement.proto by go generate.
package pb

//go:generate sh -c "go build -o /tmp/cairn-protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go && protoc --plugin=protoc-gen-go=/tmp/cairn-protoc-gen-go --go_out=. --go_opt=paths=source_relative statement.proto; rm -f /tmp/cairn-protoc-gen-go"
