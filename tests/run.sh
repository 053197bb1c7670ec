#!/bin/sh
# Run every Go test with the race detector and end with a report.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build
go build -trimpath -tags nethttpomithttp2 -o build/ ./daemon/cmd/...
go build -o build/report ./tests/report
export REMSIM_BUILD="$PWD/build"
export VMTEST="${VMTEST:-1}" # tests/vm boots its machine; without QEMU it skips with the reason
status=0
if CGO_ENABLED=1 go build -race -o /dev/null ./tests/report 2>/dev/null; then
	race="-race"
	export CGO_ENABLED=1
	# The black-box tests run the programs with the race detector too.
	export REMSIM_BUILD_RACE="$PWD/build/race"
	mkdir -p "$REMSIM_BUILD_RACE"
	go build -race -trimpath -tags nethttpomithttp2 -o "$REMSIM_BUILD_RACE/" ./daemon/cmd/...
else
	race=
	echo "no C compiler: running without the race detector" >&2
fi
# shellcheck disable=SC2086 # empty or one word
go test $race -json -tags nethttpomithttp2 -timeout 15m ./daemon/... ./tests/... | build/report || status=$?
exit $status
