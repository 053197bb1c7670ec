#!/bin/sh
# Install the Debian packages of tests/packages.txt and tests/vm/packages.txt that
# are missing. Elsewhere,
# or without root, say which ones are and go on: their tests skip with a reason.
set -eu
cd "$(dirname "$0")"
command -v dpkg-query >/dev/null || {
	echo "not a Debian system: install the packages of tests/packages.txt by hand" >&2
	exit 0
}
missing=
wanted=$(sed 's/#.*//' packages.txt vm/packages.txt)
for name in $wanted; do
	# Node.js from elsewhere brings its own npm, beside which Debian's is refused.
	[ "$name" != npm ] || ! command -v npm >/dev/null || continue
	dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing="$missing $name"
done
if [ "$(id -u)" != 0 ]; then
	[ -z "$missing" ] || echo "missing Debian packages (install them as root):$missing" >&2
	exit 0
fi
# The virtual machine's kernel is fetched by name later, which needs fresh lists.
if [ -n "$missing" ] || ! apt-cache policy linux-image-amd64 | grep -q 'Candidate: [0-9]'; then
	apt-get -q update >/dev/null
fi
[ -n "$missing" ] || exit 0
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# Services of these packages must not start here: the tests run private ones.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
# shellcheck disable=SC2086 # one word per package
apt-get -q install -y --no-install-recommends $missing >/dev/null
