#!/bin/sh
# Run every fuzz target of the module for FUZZTIME each.
set -eu
cd "$(dirname "$0")/.."
count=0
log=build/fuzz.log
mkdir -p build
# fuzz DIR TARGET: one run. Go's fuzzer sometimes fails at the very end of its time
# with nothing but "context deadline exceeded", having found nothing: such a run
# is made again, once.
fuzz() {
	for try in 1 2; do
		go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-10s}" -parallel 2 "./$1" >$log 2>&1 && return 0
		if [ $try = 2 ] || grep -q 'Failing input\|panic' $log || ! grep -q 'context deadline exceeded' $log; then
			grep -v '^fuzz: elapsed' $log
			return 1
		fi
	done
}
for dir in $(git grep -lE '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do
	targets=$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | cut -d' ' -f2)
	for target in $targets; do
		fuzz "$dir" "$target" || exit 1
		echo "fuzz $dir $target: $(grep '^fuzz: elapsed' $log | tail -n 1 | sed 's/^fuzz: //')"
		count=$((count + 1))
	done
done
echo "fuzz: $count targets, ${FUZZTIME:-10s} each, nothing found"
[ $count -gt 0 ]
