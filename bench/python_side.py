"""The Python side of `npm run bench`: converts the pair to .bin, runs FastChat's tool, plain torch or mergekit, measures.

    python_side.py convert BASE DELTA FOLDER      makes FOLDER/base-bin and FOLDER/delta-bin
    python_side.py fastchat BASE DELTA TARGET     prints {"seconds": ..., "peakBytes": ...}
    python_side.py torch BASE DELTA TARGET        likewise
    python_side.py mergekit BASE DELTA TARGET     likewise
    python_side.py has PACKAGE                    ends with 0 if it is installed
"""

import glob
import importlib.util
import json
import os
import resource
import shutil
import sys
import time


def convert(base, delta, folder):
    import torch
    from safetensors.torch import load_file

    for source, name in ((base, "base-bin"), (delta, "delta-bin")):
        target = os.path.join(folder, name)
        os.makedirs(target)
        files = sorted(glob.glob(os.path.join(source, "*.safetensors")))
        weight_map = {}
        for number, file in enumerate(files, 1):
            shard = f"pytorch_model-{number:05d}-of-{len(files):05d}.bin"
            tensors = load_file(file)
            torch.save(tensors, os.path.join(target, shard))
            weight_map.update({tensor: shard for tensor in tensors})
        with open(os.path.join(target, "pytorch_model.bin.index.json"), "w") as f:
            json.dump({"metadata": {}, "weight_map": weight_map}, f)
        shutil.copy(os.path.join(source, "config.json"), target)


class NoTokenizer:
    """The pair has none; saving one costs FastChat next to nothing."""

    def save_pretrained(self, path):
        pass


def run_fastchat(base, delta, target):
    from fastchat.model import apply_delta

    apply_delta.AutoTokenizer.from_pretrained = lambda *args, **kwargs: NoTokenizer()
    apply_delta.apply_delta_low_cpu_mem(base, target, delta)


def run_torch(base, delta, target):
    import torch

    os.makedirs(target)
    deltas = {}
    for file in glob.glob(os.path.join(delta, "*.bin")):
        deltas.update(torch.load(file))
    for file in glob.glob(os.path.join(base, "*.bin")):
        state = torch.load(file)
        for name in state:
            state[name] += deltas[name]
        torch.save(state, os.path.join(target, os.path.basename(file)))


def run_mergekit(base, delta, target):
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    models = [{"model": path, "parameters": {"weight": 1.0}} for path in (base, delta)]
    config = {"merge_method": "linear", "models": models, "parameters": {"normalize": False}, "dtype": "float16"}
    options = MergeOptions(copy_tokenizer=False, lazy_unpickle=True, low_cpu_memory=True)
    run_merge(MergeConfiguration.model_validate(config), target, options)


def measure(run, *args):
    start = time.perf_counter()
    run(*args)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    method, *arguments = sys.argv[1:]
    if method == "convert":
        convert(*arguments)
    elif method == "has":
        sys.exit(0 if importlib.util.find_spec(*arguments) else 1)
    else:
        measure({"fastchat": run_fastchat, "torch": run_torch, "mergekit": run_mergekit}[method], *arguments)
