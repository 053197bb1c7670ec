#!/bin/sh
# eslint over the app with LuCI's rules. The configuration and eslint live here,
# the files elsewhere: eslint wants both below one folder, so it sees a copy.
set -eu
cd "$(dirname "$0")"
rm -rf ../../build/luci-lint
mkdir -p ../../build/luci-lint
cp -r ../../luci-app-remsim/htdocs ../../build/luci-lint/
cp eslint.config.mjs ../../build/luci-lint/
ln -s "$PWD/node_modules" ../../build/luci-lint/node_modules
cd ../../build/luci-lint
./node_modules/.bin/eslint --max-warnings 0 .
