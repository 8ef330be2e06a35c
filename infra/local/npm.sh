#!/bin/sh
# Installs the Node packages by the machine's npm, and again by a newer one where that has left something out: npm skips, without a word,
# optional packages that ask for a newer Node than the one it runs on, and the page's compiler is one of those. The newer npm, and the Node
# this project runs on anyway, are those of the images (infra/compose/npm); they lie in target/npm.
set -eu
cd "$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)"
install="ci --no-audit --no-fund --ignore-scripts --loglevel=error"
# shellcheck disable=SC2086
npm $install
whole() { ls -d node_modules/@rolldown/binding-linux-* >/dev/null 2>&1; }
whole && exit 0
echo "setup: Node packages again, by a newer npm: the machine's runs on Node $(node --version), which some packages find too old"
rm -rf target/npm && mkdir -p target && cp -R infra/compose/npm target/npm
# shellcheck disable=SC2086
(cd target/npm && npm $install)
# shellcheck disable=SC2086
exec target/npm/node_modules/node-linux-*/bin/node target/npm/node_modules/npm/bin/npm-cli.js $install
