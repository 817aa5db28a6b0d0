#!/bin/bash
# Runs every fuzz target of the module for FUZZTIME (10s), one after the other.
set -euo pipefail
cd "$(dirname "$0")/../.."
n=0
for pkg in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" "$pkg"
		n=$((n + 1))
	done
done
echo "$n fuzz targets, nothing found"
