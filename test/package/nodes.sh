#!/usr/bin/env bash
# The tests on other versions of Node than this one, and the example on the least ones that are supported: a clean clone is
# built and packed, the tarball installed. The binaries are those of the npm package `node`.
# Usage: test/package/nodes.sh  (npm run test:nodes)
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet . "$work/clone"
cd "$work/clone"
npm ci --no-audit --no-fund
npm pack --silent --pack-destination "$work"

for version in 20.15.0 22.2.0 22 24; do
  npm install --silent --no-audit --no-fund --prefix "$work/node-$version" "node@$version"
  npm install --global --silent --no-audit --no-fund --prefix "$work/prefix-$version" "$work"/vicuna-apply-delta-*.tgz
  (
    export PATH="$work/node-$version/node_modules/node/bin:$work/prefix-$version/bin:$PATH"
    printf '\n== Node.js %s\n' "$(node --version)"
    test "$(command -v vicuna-apply-delta)" = "$work/prefix-$version/bin/vicuna-apply-delta"
    vicuna-apply-delta --base examples/tiny/base --delta examples/tiny/delta --target "$work/vicuna-$version"
    case $version in *.*) ;; *) node dist/test/run.js ;; esac
  )
done
