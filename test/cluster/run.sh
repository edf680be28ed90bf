#!/usr/bin/env bash
# Merges in parts under a real Slurm, started on the loopback, and in the environment of a Kubernetes Job, whose manifest is
# held against Kubernetes' own schema. Usage: test/cluster/run.sh  (npm run test:cluster). Installs what it needs: root.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ ! -d .venv/cluster ] || ! .venv/cluster/bin/python -c 'import kubernetes_validate' 2>/dev/null; then
  python3 -m venv --clear .venv/cluster
  .venv/cluster/bin/pip install --quiet kubernetes-validate==1.37.0 pyyaml
fi
.venv/cluster/bin/kubernetes-validate --version 1.33 --strict examples/kubernetes/merge-job.yaml

folder=$(mktemp --directory)
chmod 755 "$folder"
source test/cluster/start-slurm.sh "$folder"
trap 'stop_slurm; rm --recursive --force "$folder"' EXIT
export PYTHON=$PWD/.venv/cluster/bin/python
node --test --test-concurrency 1 --test-reporter spec dist/test/cluster/slurm.js dist/test/cluster/kubernetes.js
