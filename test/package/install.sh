#!/usr/bin/env bash
# Packs a clean build, installs the tarball globally into an empty prefix from the real registry, and runs the main job
# with it. Usage: test/package/install.sh  (npm run test:install)
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work"
npm install --global --no-audit --no-fund --prefix "$work/prefix" "$work"/vicuna-apply-delta-*.tgz
export PATH="$work/prefix/bin:$PATH"
test "$(command -v vicuna-apply-delta)" = "$work/prefix/bin/vicuna-apply-delta"

examples/merge.sh examples/tiny/base examples/tiny/delta "$work/vicuna" --max-shard-size 220KB
node -e '
  const fs = require("node:fs");
  const sums = fs.readFileSync(process.argv[1], "utf8").split("\n");
  const { sha256 } = JSON.parse(fs.readFileSync("examples/tiny/expected.json", "utf8"));
  for (const [name, digest] of Object.entries(sha256))
    if (!sums.includes(`${digest}  ${name}`)) throw new Error(`${name} is not what transformers writes`);
' "$work/vicuna/SHA256SUMS"
echo "installed and run from $(basename "$work"/vicuna-apply-delta-*.tgz)"
