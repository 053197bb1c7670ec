#!/bin/sh
# Speed. Figures of one run on one machine: compare them as ratios, and with the
# raw socket row that stands beside them.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build
run() { # TITLE PACKAGE...
	printf '\n== %s\n' "$1"
	shift
	log=build/bench.log
	if ! CGO_ENABLED=0 go test -run '^$' -bench . -benchmem -benchtime "${BENCHTIME:-1s}" -tags nethttpomithttp2 "$@" >$log 2>&1; then
		cat $log
		exit 1
	fi
	grep '^Benchmark' $log
}
run "RSPRO codec (goal: 64-byte TPDU <= 500 ns each way, 0 and <= 1 allocations)" ./daemon/internal/rspro
run "front -> relay -> loopback bank (goal: added p50 <= 50 us, p99 <= 1 ms, 0 allocations)" ./daemon/internal/app ./daemon/internal/relay ./daemon/internal/rspro/client
echo "   BenchmarkAddedPerTPDU is RoundTrip less RawSocket, measured in turns; StartUpOnLoopback is measured, at a distance of nothing."
echo "   BenchmarkStartup counts round trips, it does not sleep: s@Nms are seconds of a start-up at N ms a round trip with a card that"
echo "   takes no time, stock-roundtrips those with a bank that does not switch Nagle's algorithm off; reboot has storage; wireB are frames and TCP/IP headers both ways; x-fewer is off"
echo "   against this mode; goal for warm: round trips <= commands that must reach the card + 2 (docs/CACHE.md)"
run "front vpcd" ./daemon/internal/card/vpcd
run "ubus (goal: the object's own work <= 40 us a status call)" ./daemon/internal/ubus ./daemon/internal/api
