#!/usr/bin/env bash
# Merges a delta with its base unattended: asks for the size first, tries again where the network failed, and checks what
# was made. Run again, it goes on from what is there. Its exit codes are those of vicuna-apply-delta.
#
#   merge.sh <base> <delta> <target> [options of vicuna-apply-delta]
#
# Base and delta are folders, weights files, or owner/name on the Hub. MAX_BYTES is the largest target to write
# (default: 60 GB), TRIES how often a run that the network broke off is begun (default: 3).
set -euo pipefail

if [ $# -lt 3 ]; then
  echo "usage: $0 <base> <delta> <target> [options]" >&2
  exit 2
fi
base=$1 delta=$2 target=$3
shift 3

# Prints a field of the JSON document on stdin, `bytesToWrite` or `error.code`. Node is there; jq may not be.
field() {
  node -e '
    const document = JSON.parse(require("node:fs").readFileSync(0, "utf8").trim() || "{}");
    console.log(process.argv[1].split(".").reduce((value, key) => value?.[key], document) ?? "");
  ' "$1"
}

# Runs the tool and leaves its document in $document. What went wrong stands on stderr in words; the document has it as
# a code. Downloads and finished shards are kept, so trying again goes on from them.
run() {
  local try code
  for ((try = 1; ; try++)); do
    code=0
    document=$(vicuna-apply-delta "$@" --json) || code=$?
    [ "$code" -eq 0 ] && return
    case $(field error.code <<<"$document") in
      no-network | rate-limited | hub-failure) [ "$try" -lt "${TRIES:-3}" ] || exit "$code" ;;
      *) exit "$code" ;;
    esac
    sleep $((10 * try))
  done
}

merge=(--base "$base" --delta "$delta" --target "$target" "$@")

# How large would it be? With --stream, a model on the Hub isn't downloaded to say so. A target that is there was allowed.
if [ ! -e "$target" ]; then
  run "${merge[@]}" --dry-run --stream
  bytes=$(field bytesToWrite <<<"$document")
  if [ "$bytes" -gt "${MAX_BYTES:-60000000000}" ]; then
    echo "$target would hold $bytes bytes, more than MAX_BYTES allows" >&2
    exit 6
  fi
fi

# Where this merge has made the target before, nothing is made anew.
run "${merge[@]}" --checksums

# With checksums beside it, this reads every byte again: exit 7 where one is wrong.
run verify "$target"
echo "$target: verified"
