#!/bin/sh
# Size of the router program per architecture against its limits, then memory
# and wake-ups of the idle daemon on this machine. Router builds go without
# inlining: that saves a tenth of the flash, and what it costs in speed is far from
# any limit (docs/DEPENDENCIES.md has the figures). net/http, for the orchestrator, is a megabyte
# of it; packed, as it lies in flash, that is a fifth of one.
#
# The goal is 8 MB (arm64) and 9 MB (mips). The limits below are what the program
# takes today, and hold it there: above the goal it is by net/http with a WebSocket
# library (0.9 MB on mips), netlink (0.3), and what failover, probes, routes, budget
# and IonMesh are (0.9). What costs flash and download, xz, is within its goal on
# every router architecture; amd64 has none.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/size
status=0
row() { printf '%-10s %10s %10s   %s\n' "$@"; }
row arch bytes "xz -9" limits
while read -r arch env max maxxz; do
	out=build/size/remsim-$arch
	# shellcheck disable=SC2046,SC2086 # env is one or two assignments
	env CGO_ENABLED=0 GOOS=linux $(echo "$env" | tr , ' ') \
		go build -trimpath -tags nethttpomithttp2 -ldflags '-s -w' -gcflags=all=-l -o "$out" ./daemon/cmd/remsim
	bytes=$(wc -c <"$out")
	packed=$(xz -9 -c "$out" | wc -c)
	verdict="<= $max, <= $maxxz"
	if [ "$bytes" -gt "$max" ] || [ "$packed" -gt "$maxxz" ]; then
		verdict="$verdict  TOO LARGE"
		status=1
	fi
	row "$arch" "$bytes" "$packed" "$verdict"
done <<'TABLE'
arm64 GOARCH=arm64 9600000 2700000
mipsle GOARCH=mipsle,GOMIPS=softfloat 11300000 2700000
mips GOARCH=mips,GOMIPS=softfloat 11300000 2700000
arm GOARCH=arm,GOARM=7 9900000 2700000
amd64 GOARCH=amd64 10800000 3100000
TABLE
go build -trimpath -tags nethttpomithttp2 -ldflags '-s -w' -o build/ ./daemon/cmd/...
cp build/size/remsim-amd64 build/remsim
log=build/idle.log
if REMSIM_BUILD="$PWD/build" go test -count=1 -v -run '^TestIdle$' ./tests/e2e >$log 2>&1; then
	grep -E '^ +idle' $log
else
	cat $log
	status=1
fi
exit $status
