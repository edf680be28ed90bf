#!/usr/bin/env bash
# Compares this tool with the real Python programs. Usage: test/python/run.sh  (npm run test:python)
# Makes .venv on the first run: torch from Debian's python3-torch where there is one, the rest from PyPI.
set -euo pipefail
cd "$(dirname "$0")/../.."

system_python=/usr/bin/python3
if [ ! -d .venv/hub-v2 ] || ! .venv/bin/python -c 'import fastchat, gguf, jinja2, torch, xllamacpp' 2>/dev/null; then
  if ! "$system_python" -c 'import torch, ensurepip' 2>/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3-torch python3-venv >/dev/null
  fi
  if "$system_python" -c 'import torch' 2>/dev/null; then
    "$system_python" -m venv --clear --system-site-packages .venv
  else
    python3 -m venv --clear .venv
    .venv/bin/pip install --quiet torch
  fi
  .venv/bin/pip install --quiet --requirement test/python/requirements.txt
  # The last FastChat that applied Vicuna v0; beside the environment, not in it.
  .venv/bin/pip install --quiet --no-deps --target .venv/fschat-v0 fschat==0.1.10
  # The Hub's newest library, which those above can't be used with.
  .venv/bin/pip install --quiet --target .venv/hub-v2 huggingface_hub==2.4.0
fi
export HF_HUB_OFFLINE=1 TQDM_DISABLE=1 TRANSFORMERS_VERBOSITY=error PYTHONWARNINGS=ignore
exec .venv/bin/python -m unittest discover --start-directory test/python --pattern 'test_*.py' --verbose --buffer
