#!/bin/sh
# Formal checks. Each prints what is wrong; the script fails if any did.
set -eu
cd "$(dirname "$0")/.."
status=0
check() { # NAME COMMAND...: fail if the command prints anything or fails
	name=$1
	shift
	if ! out=$("$@" 2>&1) || [ -n "$out" ]; then
		printf '%s:\n%s\n' "$name" "$out" >&2
		status=1
	fi
}
check gofmt gofmt -l daemon tests
check vet go vet -tags nethttpomithttp2 ./...
check staticcheck "${STATICCHECK:-staticcheck}" -tags nethttpomithttp2 ./...
check tidy go mod tidy -diff
scripts=$(git ls-files '*.sh' .ci/run 'files/etc/init.d/*' 'files/etc/uci-defaults/*' 'files/etc/hotplug.d/*')
# shellcheck disable=SC2086 # one word per file
check shellcheck shellcheck $scripts
[ $status = 0 ] && echo "lint: clean"
exit $status
