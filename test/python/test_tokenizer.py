"""What transformers makes of the tokenizers this tool mends, slow and fast, and FastChat of its chat templates."""

import json
import os
import tempfile
import unittest

import torch
from fastchat.conversation import get_conv_template
from transformers import AutoTokenizer, LlamaForCausalLM

from support import TOKENIZER_FILES, apply, llama, load_model, save, tuned

ROWS = 320
TEXT = "A llama in the high plains of the Andes"
EOS = 2
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

# The tokenizer of the old conversion that most bases of 2023 were.
OLD_CONFIG = {"bos_token": "", "eos_token": "", "model_max_length": 1000000000000000019884624838656}
OLD_CONFIG |= {"tokenizer_class": "LLaMATokenizer", "unk_token": ""}
WRONG_MAP = {"bos_token": "</s>", "eos_token": "</s>", "pad_token": "[PAD]", "unk_token": "</s>"}
OLD_IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": -1}

TALK = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "How are you?"},
    {"role": "assistant", "content": "I am good."},
]


def with_eos_at_once(model):
    """The model, with weights that say </s> after whatever it is given."""
    state = model.state_dict()
    for layer in range(model.config.num_hidden_layers):
        # Layers that add nothing: what is left of a token is its embedding.
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            state[f"model.layers.{layer}.{name}.weight"].zero_()
    state["model.embed_tokens.weight"][:, 0] = 4
    state["lm_head.weight"].zero_()
    state["lm_head.weight"][EOS, 0] = 4
    return model


def difference(new, old):
    """new - old as a model, with the rows the old one lacks counted as zeros."""
    delta = LlamaForCausalLM(new.config).to(new.dtype)
    state = {name: value.clone() for name, value in new.state_dict().items()}
    for name, value in old.state_dict().items():
        state[name][: value.shape[0]] -= value
    delta.load_state_dict(state)
    return delta


class TokenizerTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = lambda name: os.path.join(scratch.name, name)

    def merge(self, rows=ROWS, changes=None, options=(), base_changes=None):
        """Merges a pair whose delta has these files changed: a document is written, None removes the file."""
        model = llama(torch.float16, seed=1)
        new = with_eos_at_once(llama(torch.float16, seed=2, vocab_size=rows))
        base = save(model, self.folder("base"), True)
        delta = save(difference(new, model), self.folder("delta"), False)
        for folder, files in ((base, base_changes), (delta, changes)):
            for name, document in (files or {}).items():
                path = os.path.join(folder, name)
                if document is None:
                    os.remove(path)
                elif isinstance(document, dict):
                    with open(path, "w") as f:
                        json.dump(document, f)
        # The base is no ancestor of the model that speaks.
        apply(base, delta, self.folder("target"), "--skip-base-check", *options)
        return self.folder("target")

    def change_json(self, folder, name, change):
        path = os.path.join(folder, name)
        with open(path) as f:
            document = json.load(f)
        change(document)
        with open(path, "w") as f:
            json.dump(document, f, indent=2)

    def assert_speaks(self, target, rows=ROWS):
        """Both tokenizers load, know the special tokens and each other's ids, and generation stops at </s>."""
        model = load_model(target).float()
        self.assertEqual(model.get_input_embeddings().weight.shape[0], rows)
        # A pad of -1 would have no row.
        self.assertIn(model.config.pad_token_id, range(rows))
        encoded = []
        for use_fast in (False, True):
            tokenizer = AutoTokenizer.from_pretrained(target, use_fast=use_fast)
            self.assertEqual(tokenizer.is_fast, use_fast)
            self.assertEqual(type(tokenizer).__name__, "LlamaTokenizerFast" if use_fast else "LlamaTokenizer")
            special = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token)
            self.assertEqual(special, ("<s>", "</s>", "<unk>"))
            ids = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
            self.assertEqual(ids, (1, 2, 0))
            self.assertEqual(len(tokenizer), rows)
            encoded.append(tokenizer(TEXT).input_ids)
            self.assertEqual(encoded[-1][0], 1)
            self.assertEqual(tokenizer.convert_tokens_to_ids("</s>"), EOS)
            tokens = tokenizer(TEXT, return_tensors="pt").input_ids
            # By generation_config.json alone: no id is passed.
            generated = model.generate(tokens, max_new_tokens=20, do_sample=False)
            self.assertEqual(generated[0, tokens.shape[1] :].tolist(), [EOS])
            self.assertEqual(tokenizer.decode(generated[0], skip_special_tokens=True), TEXT)
        self.assertEqual(*encoded)
        for name in TOKENIZER_FILES:
            self.assertTrue(os.path.exists(os.path.join(target, name)), name)

    def test_untouched(self):
        self.assert_speaks(self.merge())

    def test_old_conversion(self):
        """LLaMATokenizer, blank tokens, an empty map, ids off by one, the class's old name."""
        changes = {"tokenizer_config.json": OLD_CONFIG, "special_tokens_map.json": {}}
        changes["generation_config.json"] = {"_from_model_config": True, **OLD_IDS}
        model = self.merge(changes=changes)
        self.assert_speaks(model)
        delta = self.folder("delta")
        self.change_json(
            delta, "config.json", lambda config: config.update({"architectures": ["LLaMAForCausalLM"], **OLD_IDS})
        )
        apply(self.folder("base"), delta, self.folder("again"), "--skip-base-check")
        self.assert_speaks(self.folder("again"))
        with open(os.path.join(self.folder("again"), "config.json")) as f:
            config = json.load(f)
        self.assertEqual(config["architectures"], ["LlamaForCausalLM"])
        self.assertEqual([config[key] for key in OLD_IDS], [1, 2, 0])

    def test_blank_tokens_as_added_tokens(self):
        blank = {"__type": "AddedToken", "content": "", "lstrip": False, "normalized": True, "rstrip": False}
        blank["single_word"] = False
        config = {"tokenizer_class": "LlamaTokenizer", **{key: blank for key in SPECIAL}}
        plain = {key: value for key, value in blank.items() if key != "__type"}
        changes = {"tokenizer_config.json": config, "special_tokens_map.json": {key: plain for key in SPECIAL}}
        self.assert_speaks(self.merge(changes=changes))

    def test_missing_map(self):
        self.assert_speaks(self.merge(changes={"special_tokens_map.json": None}))

    def test_wrong_map_hides_nothing(self):
        config = {"tokenizer_class": "LlamaTokenizer", **SPECIAL}
        changes = {"tokenizer_config.json": config, "special_tokens_map.json": WRONG_MAP}
        self.assert_speaks(self.merge(changes=changes))

    def test_pieces_alone(self):
        changes = {"tokenizer_config.json": None, "special_tokens_map.json": None, "generation_config.json": None}
        target = self.merge(changes=changes)
        self.assert_speaks(target)
        self.assertEqual(AutoTokenizer.from_pretrained(target).model_max_length, 512)

    def test_no_tokenizer_in_the_delta(self):
        self.assert_speaks(self.merge(changes={name: None for name in TOKENIZER_FILES}))

    def assert_pad_is_named(self, target):
        self.assert_speaks(target, ROWS + 1)
        for use_fast in (False, True):
            tokenizer = AutoTokenizer.from_pretrained(target, use_fast=use_fast)
            self.assertEqual(tokenizer.convert_tokens_to_ids("[PAD]"), ROWS)
            self.assertEqual(tokenizer.convert_ids_to_tokens(ROWS), "[PAD]")
            self.assertIn(ROWS, tokenizer("a [PAD]").input_ids)

    def test_v0(self):
        """321 rows, 320 pieces: with each way in which a tokenizer_config may describe them."""
        old_style = {"tokenizer_class": "LlamaTokenizer", **SPECIAL}
        for title, changes in (
            ("added_tokens_decoder", {}),
            ("none", {"tokenizer_config.json": old_style}),
            ("wrong map", {"tokenizer_config.json": old_style, "special_tokens_map.json": WRONG_MAP}),
            ("pieces alone", {"tokenizer_config.json": None, "special_tokens_map.json": None}),
            ("no tokenizer", {name: None for name in TOKENIZER_FILES}),
        ):
            with self.subTest(title):
                self.setUp()
                target = self.merge(ROWS + 1, changes)
                self.assert_pad_is_named(target)
                with open(os.path.join(target, "added_tokens.json")) as f:
                    self.assertEqual(f.read(), '{\n  "[PAD]": 320\n}\n')

    def test_v0_writes_what_transformers_writes(self):
        """added_tokens.json is the very file of a tokenizer that got [PAD], as FastChat 0.1.10 gave it one."""
        old_style = {"tokenizer_class": "LlamaTokenizer", **SPECIAL}
        target = self.merge(ROWS + 1, {"tokenizer_config.json": old_style})
        tokenizer = AutoTokenizer.from_pretrained(self.folder("base"), use_fast=False)
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        tokenizer.save_pretrained(self.folder("theirs"))
        with open(os.path.join(target, "added_tokens.json"), "rb") as ours:
            with open(os.path.join(self.folder("theirs"), "added_tokens.json"), "rb") as theirs:
                self.assertEqual(ours.read(), theirs.read())

    def test_v0_with_its_tokenizer_saved_by_transformers(self):
        """A delta whose own files already name [PAD] keeps them; trimmed, they name it no more."""
        self.merge(ROWS + 1)
        delta = self.folder("delta")
        tokenizer = AutoTokenizer.from_pretrained(delta, use_fast=True)
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        tokenizer.save_pretrained(delta)
        AutoTokenizer.from_pretrained(delta, use_fast=False).save_pretrained(delta)
        self.assertTrue(os.path.exists(os.path.join(delta, "tokenizer.json")))
        apply(self.folder("base"), delta, self.folder("kept"), "--skip-base-check")
        self.assert_pad_is_named(self.folder("kept"))
        for name in ("tokenizer.json", "added_tokens.json", "tokenizer_config.json", "special_tokens_map.json"):
            with open(os.path.join(delta, name), "rb") as theirs, open(os.path.join(self.folder("kept"), name), "rb") as ours:
                self.assertEqual(ours.read(), theirs.read(), name)
        self.assertEqual(load_model(self.folder("kept")).config.pad_token_id, ROWS)

        apply(self.folder("base"), delta, self.folder("trimmed"), "--skip-base-check", "--trim-pad")
        self.assert_speaks(self.folder("trimmed"))
        self.assertFalse(os.path.exists(os.path.join(self.folder("trimmed"), "added_tokens.json")))
        for use_fast in (False, True):
            tokenizer = AutoTokenizer.from_pretrained(self.folder("trimmed"), use_fast=use_fast)
            self.assertIsNone(tokenizer.pad_token)
            self.assertNotIn("[PAD]", tokenizer.get_vocab())
            self.assertLess(max(tokenizer("a [PAD] b").input_ids), ROWS)

    def fastchat_prompt(self, style, messages):
        conversation = get_conv_template({"v0": "zero_shot", "v1.1": "vicuna_v1.1"}[style]).copy()
        for message in messages:
            conversation.append_message(conversation.roles[message["role"] == "assistant"], message["content"])
        return conversation

    def test_chat_templates_are_fastchats(self):
        for style in ("v0", "v1.1"):
            with self.subTest(style):
                self.setUp()
                target = self.merge(options=("--chat-template", style))
                for use_fast in (False, True):
                    tokenizer = AutoTokenizer.from_pretrained(target, use_fast=use_fast)

                    def render(messages, **options):
                        return tokenizer.apply_chat_template(messages, tokenize=False, **options)

                    conversation = self.fastchat_prompt(style, TALK[:3])
                    conversation.append_message(conversation.roles[1], None)
                    ours = render(TALK[:3], add_generation_prompt=True)
                    self.assertEqual(ours, "<s>" + conversation.get_prompt())
                    # FastChat's v0 opens the next message at once.
                    theirs = self.fastchat_prompt(style, TALK).get_prompt().removesuffix("\n### ")
                    self.assertEqual(render(TALK), "<s>" + theirs)
                    told = self.fastchat_prompt(style, TALK[:1])
                    told.system_message = "Be terse."
                    system = [{"role": "system", "content": "Be terse."}]
                    self.assertEqual(render(system + TALK[:1]), "<s>" + told.get_prompt().removesuffix("\n### ").rstrip(" "))
                    for wrong in (TALK[1:], TALK[:1] * 2, TALK + system, [{"role": "tool", "content": "x"}]):
                        with self.assertRaisesRegex(Exception, "must take turns"):
                            render(wrong)
                    # One bos token, and no other special token but the turns' own ends.
                    ids = tokenizer.apply_chat_template(TALK, tokenize=True)
                    self.assertEqual(ids[0], 1)
                    self.assertEqual((ids.count(1), ids.count(2)), (1, 2 if style == "v1.1" else 0))


if __name__ == "__main__":
    unittest.main()
