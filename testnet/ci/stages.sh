# The stages of run.sh, in the order in which they run. Each is a function that fails, succeeds, or says with
# `cannot` what this machine lacks.

# packages lists all Go packages but the whole-node tests.
packages() { go list ./... | grep -v '^cairn/testnet'; }

stage_gofmt() {
	local bad
	bad=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 gofmt -l 2>&1)
	[ -z "$bad" ] || { echo "run gofmt -w on:"; echo "$bad"; return 1; }
}

stage_vet() { go vet ./...; }

stage_staticcheck() { go tool staticcheck ./...; }

# The rules on imports, package comments, file sizes and the top level.
stage_layers() { go test -count=1 -run '^TestRules' ./testnet; }

need_node() {
	command -v npm >/dev/null || cannot "Node 20.19 or newer is missing"
	make --no-print-directory web/dashboard/node_modules/.package-lock.json
}

# The dashboard's own tests, and that its types are those of the API.
stage_dashboard() {
	need_node
	(cd web/dashboard && npm run --silent types:check && npm run --silent check && npm run --silent test)
}

stage_build() { make --no-print-directory build && bin/cairn version; }

# Unit tests; the fuzz targets run on their seeds, and the API's text is compared with its types.
stage_unit() { packages | xargs go test -vet=off; } # vet has a stage of its own

# The race detector slows the derivation of keys from passphrases down thirtyfold, and that has no goroutines of ours: the
# tests that are about it run in the stage before only.
stage_race() {
	command -v "${CC:-gcc}" >/dev/null || cannot "gcc is missing, which the race detector needs"
	local slow='^cairn/(cmd/cairn|node|node/recovery|storage/vault)$'
	packages | grep -vE "$slow" | CGO_ENABLED=1 xargs go test -vet=off -race
	packages | grep -E "$slow" | CGO_ENABLED=1 xargs go test -vet=off -race \
		-skip '^Test(.*Passphrase.*|Key.*|Recover.*|.*Recovery.*|Stolen.*|FilesSealed|Backup.*|Restore.*|.*Seal.*|File.*|Rotate.*)$'
}

# Networks of real processes and faults.
stage_network() {
	[ -x bin/cairn ] || make --no-print-directory build
	CAIRN_BIN=$PWD/bin/cairn go test -vet=off -count=1 -v -timeout 8m ./testnet/... | tee "$reason.all"
	skips_of "$reason.all" >"$reason"
	rm -f "$reason.all"
}

# skips_of names the tests that were skipped, with the reason that each gave.
skips_of() {
	awk '/^=== RUN/ { name = $3; why = "" }
		/^ +[a-z_]+_test.go:[0-9]+: / { why = $0; sub(/^ +[a-z_]+_test.go:[0-9]+: /, "", why) }
		/^ *--- SKIP/ { print $3 ": " why }' "$1"
}

# The dashboard in a real browser.
stage_browser() {
	need_node
	need_browser
	[ -x bin/cairn ] || make --no-print-directory build
	mkdir -p artefacts/shots
	(cd web/dashboard && CAIRN_BIN=$OLDPWD/bin/cairn CAIRN_SHOTS=$OLDPWD/artefacts/shots npm run --silent e2e)
}

need_browser() {
	command -v chromium chromium-browser google-chrome >/dev/null && return
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
		cannot "chromium is missing, and installing it is not permitted"
	echo "  ...   installing chromium with apt-get" >&3
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium ||
		cannot "chromium is missing and could not be installed"
}

stage_demo() {
	[ -x bin/cairn ] || make --no-print-directory build
	CAIRN_BIN=$PWD/bin/cairn ONCE=1 go run ./testnet/demo
}

# The binary for every system we say we run on, and tests that at least compile there.
stage_cross() {
	local out os arch
	out=$(mktemp -d)
	trap "rm -rf '$out'" EXIT
	for os in linux darwin windows; do
		for arch in amd64 arm64; do
			echo "$os/$arch"
			CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -o "$out/cairn" ./cmd/cairn
		done
		[ $os = linux ] || CGO_ENABLED=0 GOOS=$os go vet ./...
	done
}
