"""GGUFs of this tool before judges that no one here wrote: gguf-py reads and quantizes, llama.cpp loads, tokenizes and
goes on."""

import json
import os
import tempfile
import unittest

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, MODEL_ARCH, QuantError, get_tensor_name_map
from gguf.quants import quantize
from transformers import AutoTokenizer

from llama_cpp import LlamaCpp
from support import apply, llama, load_model, load_weights, save
from test_tokenizer import TALK, difference

ROWS = 320
STEPS = 24
TEXTS = (
    "A llama in the high plains of the Andes",
    " two  spaces,   three, and\ttabs\nand lines\n\n",
    "größer, 羊駝, 🦙 and \u0000\u0001",
    "USER: Hello! ASSISTANT: Hello!",
    "",
    "x",
)


def permuted(rows, heads):
    """Rows of q or k in Meta's order, as llama.cpp's converter puts them."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def expected_tensors(folder, kind):
    """What the merged folder's tensors are in a GGUF, by llama.cpp's names: type and bytes."""
    config = load_model(folder).config
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)
    expected = {}
    for name, weight in load_weights(folder).items():
        values = weight.float().numpy()
        if name.endswith("q_proj.weight"):
            values = permuted(values, config.num_attention_heads)
        if name.endswith("k_proj.weight"):
            values = permuted(values, config.num_key_value_heads)
        stored = kind if values.ndim > 1 else GGMLQuantizationType.F32
        try:
            data = quantize(values, stored)
        except QuantError:
            stored = GGMLQuantizationType.F16
            data = quantize(values, stored)
        expected[names.get_name(name, (".weight",))] = (stored, values.shape[::-1], data.tobytes())
    return expected


class GgufTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = lambda name: os.path.join(scratch.name, name)

    def make_pair(self, dtype=torch.float16, rows=ROWS, **changes):
        """A base, and the delta of a model that says something else."""
        base = llama(dtype, seed=1, **changes)
        # Weights large enough that one token is clearly the next.
        changes = {"initializer_range": 0.2, **changes}
        new = llama(dtype, seed=2, **{**changes, "vocab_size": rows})
        save(base, self.folder("base"), True)
        save(difference(new, base), self.folder("delta"), False)

    def merge(self, target, *options):
        apply(self.folder("base"), self.folder("delta"), self.folder(target), "--skip-base-check", *options)
        return self.folder(target)

    def assert_read(self, kind, folder, path):
        """Every tensor has the name, type, dimensions and bits that gguf-py gives it."""
        expected = expected_tensors(folder, kind)
        read = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
        self.assertEqual(sorted(read), sorted(expected))
        for name, (stored, shape, data) in expected.items():
            self.assertEqual(read[name].tensor_type, stored, name)
            self.assertEqual(tuple(read[name].shape), shape, name)
            self.assertEqual(np.ascontiguousarray(read[name].data).tobytes(), data, name)

    def test_every_kind(self):
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            self.setUp()
            self.make_pair(dtype, num_key_value_heads=2)
            folder = self.merge("merged")
            for kind in ("F32", "F16", "BF16", "Q8_0", "Q4_0"):
                with self.subTest(f"{dtype} as {kind}"):
                    path = self.merge(f"{kind}.gguf", "--dtype", kind.lower())
                    self.assert_read(GGMLQuantizationType[kind], folder, path)

    def test_tied(self):
        self.make_pair(tie_word_embeddings=True)
        path = self.merge("tied.gguf")
        self.assertNotIn("output.weight", [tensor.name for tensor in GGUFReader(path).tensors])
        self.assert_goes_on(self.merge("merged"), path)

    def assert_goes_on(self, folder, path, least=STEPS):
        """llama.cpp tokenizes as transformers does, and of the next tokens at least so many are the same."""
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = load_model(folder).float()
        judge = LlamaCpp(path)
        for text in TEXTS:
            self.assertEqual(judge.tokenize(text), tokenizer(text).input_ids, text)
        tokens = tokenizer(TEXTS[0]).input_ids
        same = 0
        for _ in range(STEPS):
            with torch.no_grad():
                token = model(torch.tensor([tokens])).logits[0, -1].argmax().item()
            same += judge.next_token(tokens) == token
            tokens.append(token)
        self.assertGreaterEqual(same, least)

    def test_plain(self):
        self.make_pair()
        folder = self.merge("merged")
        self.assert_goes_on(folder, self.merge("plain.gguf"))
        self.assert_goes_on(folder, self.merge("q8_0.gguf", "--dtype", "q8_0"), STEPS - 2)
        # Random weights don't survive four bits; that they are the right ones is test_every_kind's.
        self.assert_goes_on(folder, self.merge("q4_0.gguf", "--dtype", "q4_0"), 0)

    def test_grouped_query_attention(self):
        self.make_pair(num_key_value_heads=2)
        self.assert_goes_on(self.merge("merged"), self.merge("grouped.gguf"))

    def test_linear_scaling(self):
        self.make_pair(rope_scaling={"type": "linear", "factor": 4.0})
        self.assert_goes_on(self.merge("merged"), self.merge("scaled.gguf"))

    def test_v0(self):
        self.make_pair(rows=ROWS + 1)
        self.assert_goes_on(self.merge("merged"), self.merge("v0.gguf"))
        trimmed = self.merge("trimmed", "--trim-pad")
        self.assert_goes_on(trimmed, self.merge("trimmed.gguf", "--trim-pad"))

    def test_chat_template(self):
        """llama.cpp's own Jinja makes the prompt that transformers makes. It adds bos itself, so it leaves it out here."""
        self.make_pair()
        for style in ("v0", "v1.1"):
            folder = self.merge(f"merged-{style}", "--chat-template", style)
            judge = LlamaCpp(self.merge(f"{style}.gguf", "--chat-template", style))
            tokenizer = AutoTokenizer.from_pretrained(folder)
            for talk in (TALK[:1], TALK[:3], [{"role": "system", "content": "Be terse."}, *TALK[:1]]):
                expected = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
                prompt = judge.ask("/apply-template", messages=talk)["prompt"]
                self.assertEqual(prompt, expected.removeprefix("<s>"))
                self.assertEqual(judge.tokenize(prompt)[0], 1)

    def test_tokenizer_json(self):
        """Without tokenizer.model, as transformers 5 saves a model."""
        self.make_pair()
        delta = self.folder("delta")
        AutoTokenizer.from_pretrained(delta, use_fast=True).save_pretrained(delta)
        os.remove(os.path.join(delta, "tokenizer.model"))
        with open(os.path.join(delta, "tokenizer_config.json")) as file:
            config = json.load(file)
        # With it transformers looks for tokenizer.model.
        del config["add_prefix_space"]
        with open(os.path.join(delta, "tokenizer_config.json"), "w") as file:
            json.dump(config, file)
        self.assert_goes_on(self.merge("merged"), self.merge("json.gguf"))

    def test_parts(self):
        """In parts llama.cpp loads the first and finds the others."""
        self.make_pair()
        folder = self.merge("merged")
        self.merge("parts.gguf", "--max-shard-size", "150KB")
        parts = sorted(name for name in os.listdir(os.path.dirname(folder)) if name.startswith("parts-"))
        self.assertGreater(len(parts), 2)
        self.assert_goes_on(folder, self.folder(parts[0]))


if __name__ == "__main__":
    unittest.main()
