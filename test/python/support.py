"""What the comparisons share: tiny LLaMA models in many shapes, this tool as a process, tensors bit by bit."""

import glob
import json
import os
import shutil
import subprocess

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TOOL = os.path.join(ROOT, "bin", "vicuna-apply-delta.js")
TOKENIZER = os.path.join(ROOT, "examples", "tiny", "base")
TOKENIZER_FILES = ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json")

BITS = {torch.float16: torch.int16, torch.bfloat16: torch.int16, torch.float32: torch.int32}


def llama(dtype, seed, **changes):
    """A LLaMA of 0.2 million weights, drawn from `seed`."""
    config = LlamaConfig(
        **{
            "vocab_size": 320,
            "hidden_size": 64,
            "intermediate_size": 176,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "max_position_embeddings": 512,
            "pad_token_id": 0,
            **changes,
        }
    )
    config.torch_dtype = dtype
    torch.manual_seed(seed)
    return LlamaForCausalLM(config).to(dtype)


def tuned(model, deviation=1e-3, seed=7):
    """The model, trained a little."""
    result = LlamaForCausalLM(model.config).to(model.dtype)
    torch.manual_seed(seed)
    state = {
        name: (value.float() + torch.randn_like(value, dtype=torch.float32) * deviation).to(value.dtype)
        for name, value in model.state_dict().items()
    }
    result.load_state_dict(state)
    return result


def write_total_parameters(model, folder):
    """Makes the shard index, if there is one, what transformers writes since 4.53."""
    for path in glob.glob(os.path.join(folder, "*.index.json")):
        with open(path) as f:
            index = json.load(f)
        index["metadata"]["total_parameters"] = model.num_parameters()
        with open(path, "w") as f:
            f.write(json.dumps(index, indent=2, sort_keys=True) + "\n")


def save(model, folder, safe, shard_size="150KB"):
    model.save_pretrained(folder, safe_serialization=safe, max_shard_size=shard_size)
    write_total_parameters(model, folder)
    for name in TOKENIZER_FILES:
        shutil.copy(os.path.join(TOKENIZER, name), folder)
    return folder


def apply(base, delta, target, *options):
    """Runs this tool and returns its JSON document."""
    command = ["node", TOOL, "--base", base, "--delta", delta, "--target", target, "--json", "--quiet", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def load_weights(folder):
    """Every tensor of a folder, from safetensors or .bin, read by the libraries themselves."""
    tensors = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(".safetensors"):
            tensors.update(load_file(path))
        elif name.endswith(".bin"):
            tensors.update(torch.load(path))
    return tensors


def assert_same_bits(test, ours, theirs):
    test.assertEqual(sorted(ours), sorted(theirs))
    for name, mine in ours.items():
        other = theirs[name]
        test.assertEqual((mine.dtype, mine.shape), (other.dtype, other.shape), name)
        same = torch.equal(mine.contiguous().view(BITS[mine.dtype]), other.contiguous().view(BITS[other.dtype]))
        test.assertTrue(same, f"{name} differs")


def assert_same_files(test, ours, theirs, names):
    for name in names:
        with open(os.path.join(ours, name), "rb") as mine, open(os.path.join(theirs, name), "rb") as other:
            test.assertEqual(mine.read(), other.read(), name)


def load_model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, torch_dtype="auto")
