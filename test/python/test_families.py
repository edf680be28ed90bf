"""Each family of deltas in its true shapes, made small, against what the family's own rule gives in PyTorch."""

import importlib.util
import json
import os
import shutil
import sys
import tempfile
import unittest

import torch
from transformers import LlamaForCausalLM

from support import apply, assert_same_bits, llama, load_model, load_weights, save, tuned

ROWS = 320


def old_fastchat():
    """FastChat 0.1.10's apply_delta, the last that knew Vicuna v0; run.sh puts it beside the environment."""
    folder = os.environ.get("FSCHAT_V0") or os.path.join(sys.prefix, "fschat-v0")
    path = os.path.join(folder, "fastchat", "model", "apply_delta.py")
    spec = importlib.util.spec_from_file_location("fastchat_v0_apply_delta", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.apply_delta


def grown(model, rows):
    """A copy of the model with `rows` rows in its embeddings, the new ones drawn at random."""
    result = llama(model.dtype, seed=11, vocab_size=rows)
    state = result.state_dict()
    for name, value in model.state_dict().items():
        state[name][: value.shape[0]] = value
    result.load_state_dict(state)
    return result


def subtract(target, base):
    """target - base, with the rows the base lacks counted as zeros."""
    delta = LlamaForCausalLM(target.config).to(target.dtype)
    old = base.state_dict()
    state = {name: value.clone() for name, value in target.state_dict().items()}
    for name, value in old.items():
        state[name][: value.shape[0]] -= value
    delta.load_state_dict(state)
    return delta


def save_state(state, folder, config_from):
    """A state dict as one .bin beside another folder's config and tokenizer."""
    os.makedirs(folder)
    for name in os.listdir(config_from):
        if not name.endswith((".bin", ".safetensors", ".index.json")):
            shutil.copy(os.path.join(config_from, name), folder)
    torch.save(state, os.path.join(folder, "pytorch_model.bin"))
    return folder


class FamiliesTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = lambda name: os.path.join(scratch.name, name)

    def v0_pair(self):
        model = llama(torch.float16, seed=1)
        base = save(model, self.folder("base"), False)
        bigger = grown(tuned(model), ROWS + 1)
        return base, save(subtract(bigger, model), self.folder("delta"), False)

    def test_v0_equals_fastchat_0_1_10(self):
        base, delta = self.v0_pair()
        old_fastchat()(base, self.folder("theirs"), delta)
        document = apply(base, delta, self.folder("ours"))
        self.assertEqual(document["tensors"]["grown"], 2)
        self.assertEqual(document["baseCheck"]["verdict"], "exact")
        assert_same_bits(self, load_weights(self.folder("ours")), load_weights(self.folder("theirs")))
        self.assertEqual(load_model(self.folder("ours")).get_input_embeddings().weight.shape[0], ROWS + 1)

    def test_v0_with_the_row_trimmed(self):
        base, delta = self.v0_pair()
        apply(base, delta, self.folder("whole"))
        apply(base, delta, self.folder("ours"), "--trim-pad")
        whole = load_weights(self.folder("whole"))
        trimmed = {name: value[:ROWS] if value.shape[0] == ROWS + 1 else value for name, value in whole.items()}
        assert_same_bits(self, load_weights(self.folder("ours")), trimmed)
        with open(os.path.join(self.folder("ours"), "config.json")) as f:
            self.assertEqual(json.load(f)["vocab_size"], ROWS)
        self.assertEqual(load_model(self.folder("ours")).get_input_embeddings().weight.shape[0], ROWS)

    def test_alpaca_mean_rows_and_its_sum_check(self):
        """weight_diff.py: float32; new rows of the raw model are the mean of its rows; the sums must agree."""
        raw = llama(torch.float32, seed=1)
        bigger = grown(tuned(raw), ROWS + 1)
        resized = grown(raw, ROWS + 1)
        for embedding in (resized.get_input_embeddings(), resized.get_output_embeddings()):
            embedding.weight.data[ROWS:] = embedding.weight.data[:ROWS].mean(dim=0, keepdim=True)
        base = save(raw, self.folder("base"), True)
        delta = save(subtract(bigger, resized), self.folder("delta"), False)
        apply(base, delta, self.folder("ours"), "--new-rows", "mean")
        ours = load_weights(self.folder("ours"))
        expected = {name: value + load_weights(delta)[name] for name, value in resized.state_dict().items()}
        for name, value in expected.items():
            # PyTorch sums the rows in float32 and in an order of its own: the new row may differ in its last bits.
            self.assertTrue(torch.equal(ours[name][:ROWS], value[:ROWS]), name)
            self.assertTrue(torch.allclose(ours[name], value, rtol=1e-6, atol=1e-8), name)
        sums = [sum(float(value.sum()) for value in state.values()) for state in (ours, bigger.state_dict())]
        self.assertLess(abs(sums[0] - sums[1]), 0.01)

    def test_llava_projector_and_three_new_rows(self):
        """LLaVA's apply_delta.py: projector copied, the base added to the top left block of the embeddings."""
        model = llama(torch.float16, seed=1)
        base = save(model, self.folder("base"), True)
        difference = subtract(grown(tuned(model), ROWS + 3), model)
        made = save(difference, self.folder("made"), False)
        state = difference.state_dict()
        torch.manual_seed(3)
        state["model.mm_projector.weight"] = torch.randn(64, 32).half()
        state["model.mm_projector.bias"] = torch.randn(64).half()
        delta = save_state(state, self.folder("delta"), made)
        document = apply(base, delta, self.folder("ours"))
        self.assertEqual((document["tensors"]["grown"], document["tensors"]["copied"]), (2, 2))
        expected = {name: value.clone() for name, value in state.items()}
        for name, value in model.state_dict().items():
            expected[name][: value.shape[0]] += value
        # Zeros are added to the new rows: -0 becomes +0, the value is the same.
        assert_same_bits(self, load_weights(self.folder("ours")), {n: v + 0 for n, v in expected.items()})

    def test_rotary_buffers_follow_the_base(self):
        model = llama(torch.float16, seed=1)
        made = save(model, self.folder("made"), False)
        difference = subtract(tuned(model), model).state_dict()
        frequencies = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.rand(8) for i in range(3)}
        zeros = {name: torch.zeros_like(value) for name, value in frequencies.items()}
        for in_base in (True, False):
            for in_delta in (True, False):
                with self.subTest(in_base=in_base, in_delta=in_delta):
                    self.setUp()
                    base = save_state({**model.state_dict(), **(frequencies if in_base else {})}, self.folder("base"), made)
                    delta = save_state({**difference, **(zeros if in_delta else {})}, self.folder("delta"), made)
                    apply(base, delta, self.folder("ours"), "--dtype", "bfloat16")
                    ours = load_weights(self.folder("ours"))
                    buffers = {name: value for name, value in ours.items() if "inv_freq" in name}
                    assert_same_bits(self, buffers, frequencies if in_base else {})

    def test_scale_equals_torch(self):
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            for scale in (0.5, -1.0, 0.3):
                with self.subTest(dtype=dtype, scale=scale):
                    self.setUp()
                    model = llama(dtype, seed=1)
                    difference = subtract(tuned(model), model)
                    base = save(model, self.folder("base"), True)
                    delta = save(difference, self.folder("delta"), False)
                    apply(base, delta, self.folder("ours"), "--scale", str(scale))
                    # As PyTorch 2 multiplies by a number: in float32, rounded once. (1.13 rounded the number first.)
                    changes = {n: (v.float() * scale).to(dtype) for n, v in difference.state_dict().items()}
                    expected = {name: value + changes[name] for name, value in model.state_dict().items()}
                    assert_same_bits(self, load_weights(self.folder("ours")), expected)

    def test_tied_base_and_untied_delta(self):
        tied = llama(torch.float16, seed=1, tie_word_embeddings=True)
        base = save(tied, self.folder("base"), True)
        self.assertNotIn("lm_head.weight", load_weights(base))
        untied = llama(torch.float16, seed=1)
        untied.load_state_dict(tied.state_dict())
        delta = save(subtract(tuned(untied), untied), self.folder("delta"), False)
        apply(base, delta, self.folder("ours"))
        expected = {name: value + load_weights(delta)[name] for name, value in untied.state_dict().items()}
        assert_same_bits(self, load_weights(self.folder("ours")), expected)


if __name__ == "__main__":
    unittest.main()
