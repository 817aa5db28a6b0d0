#!/bin/bash
# Runs the stages that must hold, or those that are named, and counts them. A stage prints one line; the output of
# one that fails follows it, and that of all is in artefacts/ci. What this machine can not run is skipped and named
# at the end; with CI=true that is a failure.
set -uo pipefail
cd "$(dirname "$0")/../.."
source testnet/ci/stages.sh

ALL="gofmt vet staticcheck layers dashboard build unit race network browser demo cross"
passed=0 failed=() skipped=()
mkdir -p artefacts/ci
exec 3>&1 # for what a stage has to tell at once

# cannot ends a stage that this machine can not run, with the reason.
cannot() { echo "$*" >"$reason"; exit 75; }

run_stage() {
	local name=$1 log=artefacts/ci/$1.log start=$SECONDS code
	reason=artefacts/ci/$1.skipped
	rm -f "$reason"
	(set -eo pipefail; "stage_$name") >"$log" 2>&1 </dev/null
	code=$?
	local took="$((SECONDS - start)) s"
	case $code in
	0)
		passed=$((passed + 1))
		printf '  ok    %-12s %6s\n' "$name" "$took"
		# Single tests that a stage could not run.
		[ -s "$reason" ] && while read -r line; do skipped+=("$name: $line"); done <"$reason"
		;;
	75)
		skipped+=("$name: $(cat "$reason")")
		printf '  skip  %-12s %6s  %s\n' "$name" "$took" "$(cat "$reason")"
		;;
	*)
		failed+=("$name")
		printf '  FAIL  %-12s %6s  %s\n' "$name" "$took" "$log"
		grep -vE '^ok |no test files|^=== |^ *--- PASS' "$log" | tail -n 100 | sed 's/^/        /'
		;;
	esac
}

for stage in ${*:-$ALL}; do
	if ! declare -F "stage_$stage" >/dev/null; then
		echo "no stage $stage; there are: $ALL" >&2
		exit 2
	fi
	run_stage "$stage"
done

if [ ${#skipped[@]} -gt 0 ]; then
	echo "could not run:"
	printf '  %s\n' "${skipped[@]}"
fi
summary="$passed passed, ${#failed[@]} failed"
[ ${#failed[@]} -gt 0 ] && summary+=" (${failed[*]})"
[ ${#skipped[@]} -gt 0 ] && summary+=", ${#skipped[@]} could not run"
echo "$summary in $SECONDS s"
[ ${#failed[@]} -eq 0 ] && { [ ${#skipped[@]} -eq 0 ] || [ "${CI:-}" != true ]; }
