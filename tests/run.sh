#!/bin/sh
# Run every Go test with the race detector and end with a report.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build
rm -f build/failed
go build -trimpath -tags nethttpomithttp2 -o build/ ./daemon/cmd/...
# The router program as it is shipped (tests/size.sh): its memory is measured.
go build -trimpath -tags nethttpomithttp2 -ldflags '-s -w' -gcflags=all=-l -o build/ ./daemon/cmd/remsim
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
# Packages that run real peers (ModemManager, pcscd, a virtual machine) get the
# machine to themselves, one after the other: those peers have deadlines of their
# own, which a loaded machine does not meet.
heavy="./daemon/internal/app ./daemon/internal/mm ./daemon/internal/card/vpcd ./daemon/internal/card/uimremote
	./tests/e2e ./tests/interop/pcsc ./tests/netns ./tests/pcscrig ./tests/luci ./tests/vm"
# shellcheck disable=SC2086 # a list of words
light=$(go list ./daemon/... ./tests/... | grep -vxF "$(go list $heavy)")
run() { # FLAGS AND PACKAGES...
	go test $race -json -tags nethttpomithttp2 -timeout 15m "$@"
}
# shellcheck disable=SC2086 # lists of words
{
	run $light || touch build/failed
	run -p 1 -parallel 3 $heavy || touch build/failed
} | build/report || status=$?
[ ! -e build/failed ] || status=1 # go test failed in a way that the report did not see
exit $status
