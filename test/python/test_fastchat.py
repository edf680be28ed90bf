"""The real FastChat against this tool, and what transformers and safetensors make of the target."""

import glob
import os
import tempfile
import types
import unittest

import torch
from fastchat.model import make_delta as make_delta_module
from fastchat.model.apply_delta import apply_delta, apply_delta_low_cpu_mem
from safetensors import safe_open
from transformers import AutoTokenizer

from support import apply, assert_same_bits, assert_same_files, llama, load_model, load_weights, save, tuned


# FastChat's make_delta reads the arguments of its command line even when it is called as a function.
make_delta_module.args = types.SimpleNamespace(hub_repo_id=None)


class FastChatTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = lambda name: os.path.join(scratch.name, name)

    def make_pair(self, dtype=torch.float16, safe_base=True, safe_delta=False):
        """A base, and a delta that FastChat's own make_delta makes of it."""
        model = llama(dtype, seed=1)
        base = save(model, self.folder("base"), safe_base)
        target = save(tuned(model), self.folder("tuned"), True)
        make_delta_module.make_delta(base, target, self.folder("made-delta"))
        made = load_model(self.folder("made-delta"))
        return base, save(made, self.folder("delta"), safe_delta)

    def test_apply_delta(self):
        for safe_base, safe_delta in ((True, True), (True, False), (False, True), (False, False)):
            with self.subTest(safe_base=safe_base, safe_delta=safe_delta):
                self.setUp()
                base, delta = self.make_pair(safe_base=safe_base, safe_delta=safe_delta)
                apply_delta(base, self.folder("theirs"), delta)
                document = apply(base, delta, self.folder("ours"))
                self.assertEqual(document["baseCheck"]["verdict"], "exact")
                assert_same_bits(self, load_weights(self.folder("ours")), load_weights(self.folder("theirs")))
                # One shard each: the files themselves are the same, byte for byte.
                assert_same_files(self, self.folder("ours"), self.folder("theirs"), ["model.safetensors"])

    def test_apply_delta_low_cpu_mem(self):
        base, delta = self.make_pair(safe_base=False, safe_delta=False)
        apply_delta_low_cpu_mem(base, self.folder("theirs"), delta)
        apply(base, delta, self.folder("ours"), "--low-cpu-mem")
        assert_same_bits(self, load_weights(self.folder("ours")), load_weights(self.folder("theirs")))

    def test_base_in_float32_or_bfloat16(self):
        """FastChat casts both to float16 before it adds; so does this tool, to the delta's dtype."""
        for dtype in (torch.float32, torch.bfloat16):
            with self.subTest(dtype=dtype):
                self.setUp()
                _, delta = self.make_pair()
                base = save(llama(dtype, seed=1), self.folder("wide-base"), True)
                apply_delta(base, self.folder("theirs"), delta)
                apply(base, delta, self.folder("ours"), "--skip-base-check")
                assert_same_bits(self, load_weights(self.folder("ours")), load_weights(self.folder("theirs")))

    def test_other_dtypes_equal_torch(self):
        for dtype, option in ((torch.bfloat16, "bfloat16"), (torch.float32, "float32"), (torch.float16, "float16")):
            for written in ("bfloat16", "float32", "float16"):
                with self.subTest(dtype=option, written=written):
                    self.setUp()
                    model = llama(dtype, seed=1)
                    base = save(model, self.folder("base"), True)
                    changed = tuned(model)
                    old, new = model.state_dict(), changed.state_dict()
                    changed.load_state_dict({name: new[name] - old[name] for name in new})
                    delta = save(changed, self.folder("delta"), False)
                    apply(base, delta, self.folder("ours"), "--dtype", written)
                    difference = changed.state_dict()
                    theirs = {name: (old[name] + difference[name]).to(getattr(torch, written)) for name in old}
                    assert_same_bits(self, load_weights(self.folder("ours")), theirs)

    def test_shards_and_index_are_those_of_save_pretrained(self):
        base, delta = self.make_pair()
        apply(base, delta, self.folder("ours"), "--max-shard-size", "150KB")
        save(load_model(self.folder("ours")), self.folder("theirs"), True, "150KB")
        names = [name for name in sorted(os.listdir(self.folder("theirs"))) if name.startswith("model")]
        self.assertGreater(len(names), 3)
        self.assertEqual(names, [name for name in sorted(os.listdir(self.folder("ours"))) if name.startswith("model")])
        assert_same_files(self, self.folder("ours"), self.folder("theirs"), names)

    def test_target_loads_and_speaks(self):
        base, delta = self.make_pair()
        apply_delta(base, self.folder("theirs"), delta)
        apply(base, delta, self.folder("ours"), "--max-shard-size", "150KB")
        tokenizer = AutoTokenizer.from_pretrained(self.folder("ours"), use_fast=False)
        tokens = tokenizer("A chat between a curious user and a llama", return_tensors="pt").input_ids
        ours, theirs = (load_model(self.folder(name)).float()(tokens).logits for name in ("ours", "theirs"))
        self.assertTrue(torch.equal(ours, theirs))
        self.assertEqual(load_model(self.folder("ours")).dtype, torch.float16)
        shards = glob.glob(os.path.join(self.folder("ours"), "model-*.safetensors"))
        self.assertGreater(len(shards), 1)
        for path in shards:
            with safe_open(path, "pt") as shard:
                self.assertEqual(shard.metadata(), {"format": "pt"})


if __name__ == "__main__":
    unittest.main()
