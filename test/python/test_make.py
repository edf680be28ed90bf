"""The real FastChat's make_delta against this tool's, and its apply_delta on what this tool makes."""

import json
import os
import subprocess
import tempfile
import types
import unittest

import torch
from fastchat.model import make_delta as make_delta_module
from fastchat.model.apply_delta import apply_delta
from transformers import AutoTokenizer, LlamaForCausalLM

from support import BITS, TOOL, apply, assert_same_bits, llama, load_model, load_weights, save, tuned

# FastChat's make_delta reads the arguments of its command line even when it is called as a function.
make_delta_module.args = types.SimpleNamespace(hub_repo_id=None)


def make(base, target, delta, *options):
    """Makes a delta with this tool, by FastChat's option names, and returns its JSON document."""
    paths = ["--base-model-path", base, "--target-model-path", target, "--delta-path", delta]
    command = ["node", TOOL, "make", *paths, "--json", "--quiet", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def tuned_gently(model, seed=7):
    """The model, each weight changed by less than half of itself: every bit can come back."""
    result = LlamaForCausalLM(model.config).to(model.dtype)
    torch.manual_seed(seed)
    state = {
        name: (value.float() * (1 + 0.2 * torch.tanh(torch.randn_like(value, dtype=torch.float32)))).to(value.dtype)
        for name, value in model.state_dict().items()
    }
    # -0 can't come back from any sum.
    result.load_state_dict({name: torch.where(value == 0, torch.zeros_like(value), value) for name, value in state.items()})
    return result


class MakeDeltaTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = lambda name: os.path.join(scratch.name, name)

    def pair(self, dtype=torch.float16, safe_base=True, safe_tuned=False, tune=tuned):
        model = llama(dtype, seed=1)
        base = save(model, self.folder("base"), safe_base)
        return base, save(tune(model), self.folder("tuned"), safe_tuned)

    def test_equals_fastchat_make_delta(self):
        for safe_base, safe_tuned in ((True, True), (True, False), (False, True), (False, False)):
            with self.subTest(safe_base=safe_base, safe_tuned=safe_tuned):
                self.setUp()
                base, target = self.pair(safe_base=safe_base, safe_tuned=safe_tuned)
                make_delta_module.make_delta(base, target, self.folder("theirs"))
                make(base, target, self.folder("ours"))
                assert_same_bits(self, load_weights(self.folder("ours")), load_weights(self.folder("theirs")))

    def test_equals_fastchat_make_delta_of_a_wider_base(self):
        """FastChat casts both to float16 before it subtracts; so does this tool, to the tuned model's dtype."""
        base = save(llama(torch.float32, seed=1), self.folder("base"), True)
        target = save(tuned(llama(torch.float32, seed=1)).half(), self.folder("tuned"), True)
        make_delta_module.make_delta(base, target, self.folder("theirs"))
        make(base, target, self.folder("ours"))
        assert_same_bits(self, load_weights(self.folder("ours")), load_weights(self.folder("theirs")))

    def test_fastchat_applies_our_delta(self):
        base, target = self.pair(tune=tuned_gently)
        document = make(base, target, self.folder("delta"), "--exact", "--max-shard-size", "150KB")
        self.assertTrue(document["restores"]["isExact"])
        apply_delta(base, self.folder("theirs"), self.folder("delta"))
        assert_same_bits(self, load_weights(self.folder("theirs")), load_weights(target))
        tokenizers = [AutoTokenizer.from_pretrained(path, use_fast=False) for path in (self.folder("theirs"), target)]
        self.assertEqual(*[tokenizer.get_vocab() for tokenizer in tokenizers])

    def test_every_dtype_comes_back_and_equals_torch(self):
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            with self.subTest(dtype=dtype):
                self.setUp()
                base, target = self.pair(dtype, tune=tuned_gently)
                make(base, target, self.folder("delta"), "--exact")
                old, new = load_weights(base), load_weights(target)
                theirs = {name: new[name] - old[name] for name in new}
                assert_same_bits(self, load_weights(self.folder("delta")), theirs)
                document = apply(base, self.folder("delta"), self.folder("again"))
                self.assertEqual(document["baseCheck"]["verdict"], "exact")
                assert_same_bits(self, load_weights(self.folder("again")), new)
                self.assertEqual(load_model(self.folder("delta")).dtype, dtype)

    def test_losses_are_those_torch_counts(self):
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            with self.subTest(dtype=dtype):
                self.setUp()
                base, target = self.pair(dtype, tune=lambda model: llama(model.dtype, seed=2))
                document = make(base, target, self.folder("delta"))
                old, new = load_weights(base), load_weights(target)
                # By bits: torch takes -0 and +0 for equal.
                bits = BITS[dtype]
                again = {name: old[name] + (new[name] - old[name]) for name in new}
                lost = {name: int((again[name].view(bits) != new[name].view(bits)).sum()) for name in new}
                self.assertGreater(sum(lost.values()), 0)
                self.assertEqual(document["restores"]["lost"], sum(lost.values()))
                for listed in document["restores"]["listed"]:
                    self.assertEqual(listed["elements"], lost[listed["tensor"]], listed["tensor"])


if __name__ == "__main__":
    unittest.main()
