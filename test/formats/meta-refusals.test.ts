import { cpSync, mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ErrorCode } from "../../src/errors.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { projectPath } from "../support/fixture-path.js";
import { type MetaSample, writeMeta } from "../support/meta-model.js";
import { type Tensor, temporaryFolder } from "../support/model-folder.js";
import { type ExpectedDetails, refusal } from "../support/refusal.js";

const FIXTURES = projectPath("test/fixtures/meta");

/** What is done to a copy of the four files, and the refusal. */
const SPOILED: [title: string, spoil: (folder: string) => void, code: ErrorCode, details: ExpectedDetails][] =
  [
    [
      "the last file is missing",
      (folder) => rmSync(join(folder, "consolidated.03.pth")),
      "shard-missing",
      { file: /consolidated\.03\.pth$/, expected: /^4 files/, got: 3 },
    ],
    [
      "a file in the middle is missing",
      (folder) => rmSync(join(folder, "consolidated.01.pth")),
      "shard-missing",
      { file: /consolidated\.01\.pth$/ },
    ],
    [
      "a file too many",
      (folder) => cpSync(join(folder, "consolidated.03.pth"), join(folder, "consolidated.04.pth")),
      "parts-differ",
      { file: /consolidated\.04\.pth$/, message: /one file too many/ },
    ],
    [
      "a file of a model in eight",
      (folder) =>
        cpSync(join(FIXTURES, "files-8", "consolidated.01.pth"), join(folder, "consolidated.01.pth")),
      "parts-differ",
      { file: /consolidated\.01\.pth$/, tensor: /./, expected: /x/, got: /x/ },
    ],
    [
      "the download of a file ended early",
      (folder) => truncateSync(join(folder, "consolidated.02.pth"), 9000),
      "truncated-file",
      { file: /consolidated\.02\.pth$/, hint: /`md5sum -c checklist\.chk`/ },
    ],
    [
      "no params.json",
      (folder) => rmSync(join(folder, "params.json")),
      "source-not-found",
      { file: /params\.json$/, hint: /^Copy params\.json/ },
    ],
    [
      "params.json is no JSON",
      (folder) => writeFileSync(join(folder, "params.json"), "{"),
      "bad-json",
      { file: /params\.json$/ },
    ],
    [
      "params.json without heads",
      (folder) => writeFileSync(join(folder, "params.json"), `{"dim": 48, "n_layers": 1, "norm_eps": 1e-6}`),
      "bad-json",
      { file: /params\.json$/, got: /^n_heads/ },
    ],
  ];

for (const [title, spoil, code, details] of SPOILED) {
  test(`refused: ${title}`, async (context) => {
    const folder = join(temporaryFolder(context), "7B");
    cpSync(join(FIXTURES, "files-4"), folder, { recursive: true });
    spoil(folder);
    await refusal(() => openCheckpoint(folder), code, details);
  });
}

const inFile =
  (number: number, change: (tensor: Tensor) => Tensor | null) => (part: readonly Tensor[], at: number) =>
    at === number ? part.flatMap((tensor) => change(tensor) ?? []) : part;
const named = (name: string, change: (tensor: Tensor) => Tensor | null) => (tensor: Tensor) =>
  tensor.name === name ? change(tensor) : tensor;
const flipped = (tensor: Tensor) => ({
  ...tensor,
  bytes: tensor.bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte)),
});
const asBF16 = (tensor: Tensor) => ({ ...tensor, dtype: "BF16" });
const WQ = "layers.1.attention.wq.weight";

const WRONG: [title: string, sample: MetaSample, code: ErrorCode, details: ExpectedDetails][] = [
  [
    "a file in another precision",
    { files: 4, change: inFile(2, asBF16) },
    "parts-differ",
    { file: /consolidated\.02\.pth$/, expected: /^F16/, got: "BF16" },
  ],
  [
    "the first file in another precision",
    { files: 4, change: inFile(0, asBF16) },
    "parts-differ",
    { file: /consolidated\.00\.pth$/, expected: /^F16/, got: "BF16" },
  ],
  [
    "files that disagree on a vector",
    { files: 4, change: inFile(3, named("layers.1.ffn_norm.weight", flipped)) },
    "parts-differ",
    { file: /consolidated\.03\.pth$/, tensor: "layers.1.ffn_norm.weight", got: "other values" },
  ],
  [
    "a tensor that one file lacks",
    {
      files: 2,
      change: inFile(
        1,
        named(WQ, () => null),
      ),
    },
    "tensor-missing-in-shard",
    { file: /consolidated\.01\.pth$/, tensor: WQ },
  ],
  [
    "a tensor that all files lack",
    { files: 2, change: (part) => part.filter(({ name }) => name !== WQ) },
    "config-mismatch",
    { file: /params\.json$/, got: /no tensor for model\.layers\.1\.self_attn\.q_proj/ },
  ],
  [
    "a tensor that no LLaMA has",
    { change: (part) => [...part, { ...(part[1] as Tensor), name: "layers.0.feed_forward.gate.weight" }] },
    "unknown-format",
    { file: /consolidated\.00\.pth$/, tensor: "layers.0.feed_forward.gate.weight" },
  ],
  [
    "more layers than params.json says",
    { params: { n_layers: 1 } },
    "config-mismatch",
    { tensor: /^layers\.1\./ },
  ],
  [
    "fewer layers than params.json says",
    { params: { n_layers: 3 } },
    "config-mismatch",
    { got: /layers\.2\./ },
  ],
  ["another width", { params: { dim: 64 } }, "config-mismatch", { file: /params\.json$/ }],
  [
    "another feed-forward width",
    { params: { multiple_of: 64 } },
    "config-mismatch",
    { tensor: /w1/, expected: /^128 x/ },
  ],
  [
    "fewer keys than queries",
    { params: { n_kv_heads: 2 } },
    "config-mismatch",
    { tensor: /wk/, got: /^32 x 32/ },
  ],
  ["another vocabulary", { params: { vocab_size: 65 } }, "config-mismatch", { expected: "vocab_size 65" }],
  [
    "heads that don't divide the width",
    { params: { n_heads: 5 } },
    "config-mismatch",
    { got: "dim 32, n_heads 5" },
  ],
  [
    "keys that don't divide the heads",
    { params: { n_kv_heads: 3 } },
    "config-mismatch",
    { got: "n_kv_heads 3, n_heads 4" },
  ],
  [
    "heads that rope.freqs contradicts",
    {
      params: { n_heads: 8 },
      change: (part) => [...part, { name: "rope.freqs", dtype: "F16", shape: [4], bytes: Buffer.alloc(8) }],
    },
    "config-mismatch",
    { expected: /heads of 4 rows/, got: "rope.freqs of 4, for heads of 8 rows in consolidated.00.pth" },
  ],
];
for (const [title, sample, code, details] of WRONG) {
  test(`refused: ${title}`, async (context) => {
    const folder = writeMeta(join(temporaryFolder(context), "7B"), sample);
    await refusal(() => openCheckpoint(folder), code, details);
  });
}

test("files of two models are told by what each has whole", async (context) => {
  const root = temporaryFolder(context);
  const [one, other] = [1, 2].map((seed) => writeMeta(join(root, `${seed}`), { files: 2, seed })) as [
    string,
    string,
  ];
  const mixed = join(root, "mixed");
  mkdirSync(mixed);
  for (const name of ["consolidated.00.pth", "params.json"]) cpSync(join(one, name), join(mixed, name));
  cpSync(join(other, "consolidated.01.pth"), join(mixed, "consolidated.01.pth"));
  await refusal(() => openCheckpoint(mixed), "parts-differ", {
    file: join(mixed, "consolidated.01.pth"),
    expected: "the values in consolidated.00.pth",
    hint: /two models/,
  });
});
