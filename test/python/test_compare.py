"""`compare` against PyTorch: torch.equal, (a - b).abs().max() and their like over the same files."""

import json
import os
import subprocess
import tempfile
import unittest

import torch

from support import BITS, TOOL, llama, load_weights, save, tuned


def compare(a, b, *options):
    """The JSON document and the exit code."""
    command = ["node", TOOL, "compare", a, b, "--json", "--weights-only", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 7):
        raise AssertionError(f"exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout), done.returncode


class CompareTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = lambda name: os.path.join(scratch.name, name)

    def assert_agrees(self, a, b, tolerance):
        document, _ = compare(a, b, "--tolerance", str(tolerance))
        ours = {tensor["name"]: tensor for tensor in document["differing"]}
        x, y = load_weights(a), load_weights(b)
        self.assertEqual(sorted(x), sorted(y))
        beyond = 0
        for name in x:
            p, q = x[name].double(), y[name].double()
            got = ours.get(name)
            if got is None:
                self.assertTrue(torch.equal(x[name], y[name]), name)
                continue
            difference = (p - q).abs()
            scale = torch.maximum(p.abs(), q.abs())
            self.assertEqual(got["differentValues"], int((p != q).sum()), name)
            self.assertEqual(got["beyondTolerance"], int((difference > tolerance).sum()), name)
            beyond += got["beyondTolerance"]
            if x[name].dtype == y[name].dtype:
                view = BITS[x[name].dtype]
                self.assertEqual(got["differentBits"], int((x[name].view(view) != y[name].view(view)).sum()), name)
            else:
                self.assertIsNone(got["differentBits"])
            if got["differentValues"] > 0:
                self.assertEqual(got["largestAbsolute"]["difference"], float(difference.max()), name)
                index = tuple(got["largestAbsolute"]["index"])
                self.assertEqual(float(difference[index]), float(difference.max()), name)
                relative = torch.where(p == q, torch.zeros_like(p), difference / scale)
                self.assertEqual(got["largestRelative"]["difference"], float(relative.max()), name)
        self.assertEqual(document["isEqual"], beyond == 0)

    def test_every_pair_of_dtypes_agrees_with_torch(self):
        model = llama(torch.float32, seed=1)
        other = tuned(model)
        for left in BITS:
            for right in BITS:
                with self.subTest(left=left, right=right):
                    self.setUp()
                    a = save(llama_as(model, left), self.folder("a"), True)
                    b = save(llama_as(other, right), self.folder("b"), False, "60KB")
                    self.assert_agrees(a, b, 1e-3)

    def test_equal_models_in_two_formats(self):
        model = llama(torch.float16, seed=1)
        a, b = save(model, self.folder("a"), True), save(model, self.folder("b"), False)
        document, code = compare(a, b)
        self.assertEqual((code, document["isEqual"], document["differing"]), (0, True, []))

    def test_an_epsilon_is_found(self):
        model = llama(torch.float16, seed=1)
        a = save(model, self.folder("a"), True)
        weight = model.model.layers[1].mlp.up_proj.weight
        with torch.no_grad():
            weight[17, 5] = torch.nextafter(weight[17, 5].float(), torch.tensor(1.0)).half() + 2**-14
        b = save(model, self.folder("b"), False)
        document, code = compare(a, b)
        self.assertEqual((code, len(document["differing"])), (7, 1))
        self.assertEqual(document["differing"][0]["first"], [17, 5])


def llama_as(model, dtype):
    """A copy in another dtype."""
    copy = llama(dtype, seed=1)
    copy.load_state_dict({name: value.to(dtype) for name, value in model.state_dict().items()})
    return copy


if __name__ == "__main__":
    unittest.main()
