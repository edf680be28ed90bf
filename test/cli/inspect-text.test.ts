/** What `inspect` prints, line by line. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { formatInspection } from "../../src/cli/inspect-text.js";
import { inspectModel } from "../../src/inspect/inspect-model.js";
import { projectPath } from "../support/fixture-path.js";
import { floats, temporaryFolder, writeModel } from "../support/model-folder.js";

const BASE = projectPath("examples/tiny/base");
const DELTA = projectPath("examples/tiny/delta");

test("the example's base: layers are taken together", async () => {
  const text = formatInspection(await inspectModel({ model: BASE }));
  assert.equal(
    text,
    `${BASE}
  format     safetensors, 488 kB in 1 file
  weights    242,240 parameters in 39 tensors
  dtypes     F16 (39 tensors, 484 kB)
  config     LlamaForCausalLM, 4 layers, 64 wide, 4 heads, 2,048 tokens of context, float16
  tokenizer  320 pieces for 320 rows (tokenizer.model, tokenizer_config.json, special_tokens_map.json)

  model.embed_tokens.weight                       F16  320 x 64
  model.layers.*.self_attn.q_proj.weight          F16  64 x 64   x 4
  model.layers.*.self_attn.k_proj.weight          F16  64 x 64   x 4
  model.layers.*.self_attn.v_proj.weight          F16  64 x 64   x 4
  model.layers.*.self_attn.o_proj.weight          F16  64 x 64   x 4
  model.layers.*.mlp.gate_proj.weight             F16  176 x 64  x 4
  model.layers.*.mlp.up_proj.weight               F16  176 x 64  x 4
  model.layers.*.mlp.down_proj.weight             F16  64 x 176  x 4
  model.layers.*.input_layernorm.weight           F16  64        x 4
  model.layers.*.post_attention_layernorm.weight  F16  64        x 4
  model.norm.weight                               F16  64
  lm_head.weight                                  F16  320 x 64`,
  );
});

test("the example's delta with its base: shards, the filter's tensors, the chart", async () => {
  const text = formatInspection(await inspectModel({ model: DELTA, base: BASE, filter: "lm_*" }));
  assert.match(text, /\n {2}pytorch_model-00002-of-00003\.bin {2}207 kB {3}18 tensors\n/);
  assert.match(
    text,
    /\n1 tensor of 39 like lm_\*\n {2}lm_head\.weight {2}F16 {2}320 x 64 {2}pytorch_model-00003-of-00003\.bin\n/,
  );
  assert.match(text, /\nSize of the change: rms of delta over rms of base\nembed {4}5\.\d\d% {2}█+/);
  assert.match(text, /\nlayer 3 {2}\d\.\d\d% {2}█+.?\nhead /);
  assert.match(text, /\n {2}post_attention_layernorm {2}0\.\d\d%\n/);
  assert.match(
    text,
    /\n {2}4\.99% over all matrices, compared with .*base\n {2}39 tensors, 242,240 elements, all of them$/,
  );
});

test("what is missing or odd is said", async (t) => {
  const tensors = [
    floats("model.embed_tokens.weight", "F16", [3, 2], [1, 2, 3, 4, 5, Number.NaN]),
    floats("extra", "F32", [], [1]),
  ];
  const folder = temporaryFolder(t);
  const model = writeModel(join(folder, "vicuna-7b-v1.5"), tensors, { files: {} });
  const text = formatInspection(
    await inspectModel({ model, base: writeModel(join(folder, "base"), tensors.slice(0, 1)) }),
  );
  assert.match(text, /\n {2}config {5}no config\.json\n/);
  assert.match(text, /\n {2}tokenizer {2}for 3 rows \(no files\)\n/);
  assert.match(text, /\n {2}look at: there is neither tokenizer\.model nor tokenizer\.json\n/);
  assert.match(
    text,
    /\n {2}look at: it is named vicuna-7b-v1\.5, but its embedding has 3 rows, not 32,000\n/,
  );
  assert.match(text, /\n {2}extra +F32 {2}scalar\n/);
  assert.match(text, /\n {2}a whole model, not a delta: its base was subtracted\n/);
  assert.match(text, /\n {2}1 sampled element infinite or NaN, left out\n {2}not compared: extra$/);
});

test("a recognised release has a line", async (t) => {
  const tensors = [floats("model.norm.weight", "F16", [1], [1])];
  const model = writeModel(join(temporaryFolder(t), "vicuna-13b-v1.3"), tensors, { files: {} });
  const text = formatInspection(await inspectModel({ model }));
  assert.match(
    text,
    /\n {2}release {4}Vicuna 13B v1\.3 \(merged\), by the folder's name; works with fschat >= 0\.2\.1 and/,
  );
});

test("a name can't steer the terminal", async (t) => {
  const name = "evil\u001b]0;title\u0007\u202e\n\r\u2028\u009b31m";
  const model = writeModel(join(temporaryFolder(t), "m"), [floats(name, "F16", [1], [1])], {
    files: { "config.json": JSON.stringify({ architectures: ["A\u001b[2J"] }) },
  });
  const text = formatInspection(await inspectModel({ model, filter: "*" }));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  assert.ok(text.includes("\\u{1b}[2J"));
  assert.ok(text.includes("evil\\u{1b}]0;title\\u{7}\\u{202e}\\u{a}\\u{d}\\u{2028}\\u{9b}31m"), "one line");
});
