"""Makes examples/tiny: a tiny LLaMA base in safetensors and a Vicuna-style delta in PyTorch .bin shards.

    python examples/make_tiny.py examples/tiny

Needs the packages of test/python/requirements.txt. Both models and the tokenizer are written by the real
libraries (transformers, safetensors, torch, sentencepiece). expected.json has the SHA-256 of every weights file
that transformers itself writes for the merged model.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile

import sentencepiece
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

VOCABULARY = 320
SHARD_SIZE = "220KB"

TEXT = """A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful,
detailed, and polite answers to the user's questions. A llama is a domesticated animal of South America, kept
for its wool and as a pack animal since long before the time of the Incas. The vicuna is its small wild
relative, which lives in the high plains of the Andes and whose wool is among the finest in the world."""


def make_tokenizer(folder):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.replace("\n", " ").split(". ") * 4),
        model_writer=model,
        vocab_size=VOCABULARY,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    path = os.path.join(folder, "tokenizer.model")
    with open(path, "wb") as f:
        f.write(model.getvalue())
    return LlamaTokenizer(path, legacy=True)


def make_models():
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=2048,
        rms_norm_eps=1e-6,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        torch_dtype="float16",
    )
    torch.manual_seed(1)
    base = LlamaForCausalLM(config).half()
    tuned = LlamaForCausalLM(config).half()
    with torch.no_grad():
        for old, new in zip(base.parameters(), tuned.parameters()):
            new.copy_((old.float() + torch.randn_like(old, dtype=torch.float32) * 1e-3).half())
    return base, tuned


def combine(model, other, operation):
    """A model whose every tensor is operation(model's, other's)."""
    result = LlamaForCausalLM(model.config).half()
    others = other.state_dict()
    result.load_state_dict({name: operation(value, others[name]) for name, value in model.state_dict().items()})
    return result


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    base, tuned = make_models()
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = make_tokenizer(scratch)
        base_folder, delta_folder = os.path.join(folder, "base"), os.path.join(folder, "delta")
        base.save_pretrained(base_folder, safe_serialization=True)
        tokenizer.save_pretrained(base_folder)
        delta = combine(tuned, base, torch.sub)
        delta.save_pretrained(delta_folder, safe_serialization=False, max_shard_size=SHARD_SIZE)
        tokenizer.save_pretrained(delta_folder)
        target = os.path.join(scratch, "target")
        merged = combine(base, delta, torch.add)
        merged.save_pretrained(target, safe_serialization=True, max_shard_size=SHARD_SIZE)
        index = os.path.join(target, "model.safetensors.index.json")
        with open(index) as f:
            document = json.load(f)
        # As transformers writes it since 4.53.
        document["metadata"]["total_parameters"] = merged.num_parameters()
        with open(index, "w") as f:
            f.write(json.dumps(document, indent=2, sort_keys=True) + "\n")
        expected = {}
        for name in sorted(os.listdir(target)):
            if name.startswith("model"):
                with open(os.path.join(target, name), "rb") as f:
                    expected[name] = hashlib.sha256(f.read()).hexdigest()
        with open(os.path.join(folder, "expected.json"), "w") as f:
            json.dump({"max_shard_size": SHARD_SIZE, "sha256": expected}, f, indent=2)
            f.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
