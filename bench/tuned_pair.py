"""Trains a small LLaMA, tunes it as Vicuna was (AdamW, 2e-5), and writes base, delta and another model for the base check.

    python3 bench/tuned_pair.py FOLDER float16      # needs torch and transformers
    node bin/vicuna-apply-delta.js --base FOLDER/base --delta FOLDER/delta --target FOLDER/out --dry-run --json

The tables of really tuned weights in docs/base-check.md are made so. Weights, gradients and optimizer are float32; base
and tuned model are rounded to the dtype before they are subtracted, as released models are.
"""
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

folder, dtype = sys.argv[1], getattr(torch, sys.argv[2])
VOCABULARY, LENGTH = 512, 64


def text(seed):
    """A language of its own: each token is followed by one of four others, more or less likely."""
    generator = torch.Generator().manual_seed(seed)
    following = torch.randint(0, VOCABULARY, (VOCABULARY, 4), generator=generator)
    while True:
        tokens = torch.randint(0, VOCABULARY, (16, 1), generator=generator)
        for _ in range(LENGTH - 1):
            choice = torch.multinomial(torch.tensor([0.6, 0.2, 0.15, 0.05]), 16, True, generator=generator)
            tokens = torch.cat([tokens, following[tokens[:, -1], choice][:, None]], 1)
        yield tokens


def train(model, language, steps, rate):
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for _, tokens in zip(range(steps), text(language)):
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


def pretrained(seed):
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=128, intermediate_size=344, num_hidden_layers=4,
                         num_attention_heads=4, max_position_embeddings=2048, tie_word_embeddings=False)
    model = LlamaForCausalLM(config)
    print("loss of the base", train(model, 1, 400, 1e-3))
    return model


base, other = pretrained(0), pretrained(1)
for name, model in (("base", base), ("other", other)):
    LlamaForCausalLM.from_pretrained(None, config=model.config, state_dict=model.state_dict()).to(dtype).save_pretrained(f"{folder}/{name}")
released = {name: tensor.to(dtype) for name, tensor in base.state_dict().items()}
print("loss of the tuned model", train(base, 2, 100, 2e-5))
delta = {name: tensor.to(dtype) - released[name] for name, tensor in base.state_dict().items()}
base.to(dtype).save_pretrained(f"{folder}/delta", state_dict=delta)
