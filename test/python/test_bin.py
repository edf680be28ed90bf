"""`--format bin`: what PyTorch, transformers, FastChat and Python's zipfile make of it."""

import glob
import inspect
import os
import tempfile
import unittest
import zipfile

import torch
from fastchat.model.apply_delta import apply_delta

from support import apply, assert_same_bits, assert_same_files, llama, load_model, load_weights, save, tuned


class BinTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = lambda name: os.path.join(scratch.name, name)

    def make_pair(self, dtype=torch.float16):
        """A base and a delta in .bin shards, as FastChat's own lay on the Hub."""
        model = llama(dtype, seed=1)
        changed = tuned(model)
        old, new = model.state_dict(), changed.state_dict()
        changed.load_state_dict({name: new[name] - old[name] for name in new})
        return save(model, self.folder("base"), False), save(changed, self.folder("delta"), False)

    def merged(self, *options, dtype=torch.float16):
        """Paths of the shards that this tool makes."""
        base, delta = self.make_pair(dtype)
        apply(base, delta, self.folder("ours"), "--format", "bin", *options)
        return sorted(glob.glob(os.path.join(self.folder("ours"), "pytorch_model*.bin")))

    def test_torch_load(self):
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            with self.subTest(dtype=dtype):
                self.setUp()
                (path,) = self.merged(dtype=dtype)
                plain = torch.load(path)
                self.assertIs(type(plain), dict)
                self.assertEqual({value.dtype for value in plain.values()}, {dtype})
                assert_same_bits(self, plain, torch.load(path, weights_only=True))

    @unittest.skipUnless("mmap" in inspect.signature(torch.load).parameters, f"torch {torch.__version__} has no mmap")
    def test_torch_load_mmap(self):
        (path,) = self.merged()
        assert_same_bits(self, torch.load(path, mmap=True, weights_only=True), torch.load(path))

    def test_zip_checksums(self):
        for path in self.merged("--max-shard-size", "150KB"):
            with zipfile.ZipFile(path) as archive:
                self.assertIsNone(archive.testzip())

    @unittest.skipUnless(torch.__version__.startswith("1.13"), f"torch {torch.__version__} adds records of its own")
    def test_shards_and_index_are_those_of_save_pretrained(self):
        for options in ((), ("--max-shard-size", "150KB")):
            with self.subTest(options=options):
                self.setUp()
                self.merged(*options)
                save(load_model(self.folder("ours")), self.folder("theirs"), False, options[-1] if options else "5GB")
                names = [name for name in sorted(os.listdir(self.folder("theirs"))) if name.startswith("pytorch_model")]
                self.assertEqual(len(names) > 3, bool(options))
                mine = [name for name in sorted(os.listdir(self.folder("ours"))) if name.startswith("pytorch_model")]
                self.assertEqual(names, mine)
                assert_same_files(self, self.folder("ours"), self.folder("theirs"), names)

    def test_fastchat_on_bin_gives_the_same(self):
        base, delta = self.make_pair()
        apply_delta(base, self.folder("theirs"), delta)
        apply(base, delta, self.folder("ours"), "--format", "bin", "--max-shard-size", "150KB")
        assert_same_bits(self, load_weights(self.folder("ours")), load_weights(self.folder("theirs")))
        ours, theirs = (load_model(self.folder(name)).state_dict() for name in ("ours", "theirs"))
        assert_same_bits(self, ours, theirs)

    def test_fastchat_takes_our_bin_as_its_base(self):
        base, delta = self.make_pair()
        apply(base, delta, self.folder("ours"), "--format", "bin", "--max-shard-size", "150KB")
        apply_delta(self.folder("ours"), self.folder("theirs"), delta)
        apply(self.folder("ours"), delta, self.folder("again"), "--format", "bin", "--skip-base-check")
        assert_same_bits(self, load_weights(self.folder("again")), load_weights(self.folder("theirs")))


if __name__ == "__main__":
    unittest.main()
