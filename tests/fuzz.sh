#!/bin/sh
# Run every fuzz target of the module for FUZZTIME each.
set -eu
cd "$(dirname "$0")/.."
count=0
for dir in $(git grep -lE '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do
	targets=$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | cut -d' ' -f2)
	for target in $targets; do
		echo "fuzz $dir $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -parallel 2 "./$dir" | grep -vE '^fuzz: elapsed' || exit 1
		count=$((count + 1))
	done
done
echo "fuzz: $count targets, ${FUZZTIME:-10s} each, nothing found"
[ $count -gt 0 ]
