/** Meta's files against what the real converter made of them (fixtures/meta), and where they are found. */
import assert from "node:assert/strict";
import { cpSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gather, openView } from "../../src/files/gather.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { inStateDictOrder } from "../../src/llama/tensor-names.js";
import { byteLengthOf, type DType, elementCount, filesOf, type TensorView } from "../../src/tensor.js";
import { projectPath } from "../support/fixture-path.js";
import { writeMeta } from "../support/meta-model.js";
import { readSafetensorsFile, type Tensor, temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const FIXTURES = projectPath("test/fixtures/meta");

/** The folders, with the file that the converter made of each. */
const GOLDEN = [
  ["files-1", "files"],
  ["files-2", "files"],
  ["files-4", "files"],
  ["files-8", "files"],
  ["grouped", "grouped"],
  ["newer", "newer"],
] as const;

function elementsOf(tensor: TensorView, first = 0, count = elementCount(tensor.shape)): Buffer {
  const size = byteLengthOf(tensor) / elementCount(tensor.shape);
  const memory = Buffer.alloc(count * size);
  gather(openView<DType>(tensor), first, count, memory, 0);
  return memory;
}

const isBuffer = ({ name }: { name: string }) => name.endsWith("inv_freq");

for (const [folder, golden] of GOLDEN) {
  test(`${folder} is what the converter makes of it`, async () => {
    const checkpoint = await openCheckpoint(join(FIXTURES, folder));
    try {
      const wanted = readSafetensorsFile(join(FIXTURES, `${golden}.safetensors`)).filter((t) => !isBuffer(t));
      const got = checkpoint.tensors.map((tensor) => {
        return { name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, bytes: elementsOf(tensor) };
      });
      assert.deepEqual(got, inStateDictOrder(wanted) as Tensor[]);
      assert.deepEqual(checkpoint.formats, ["meta"]);
      // Ranges that begin and end anywhere.
      for (const tensor of checkpoint.tensors) {
        const [total, whole] = [elementCount(tensor.shape), elementsOf(tensor)];
        for (const [first, count] of [
          [1, total - 2],
          [Math.floor(total / 3), Math.floor(total / 2)],
        ] as const)
          assert.ok(whole.subarray(2 * first, 2 * (first + count)).equals(elementsOf(tensor, first, count)));
      }
    } finally {
      checkpoint.close();
    }
  });
}

async function configOf(folder: string) {
  const { config, close } = await openCheckpoint(folder);
  close();
  return config;
}

test("what params.json says stands for a config.json, the vocabulary's rows for -1", async () => {
  const config = await configOf(join(FIXTURES, "files-2"));
  assert.deepEqual(
    [config?.hiddenSize, config?.attentionHeads, config?.keyValueHeads, config?.layers, config?.vocabSize],
    [48, 8, 8, 1, 40],
  );
  assert.deepEqual([config?.intermediateSize, config?.rmsNormEps, config?.ropeTheta], [64, 1e-6, null]);
  // Nested under `model`, with a multiplier: 8 · ⌈⌊1.3 · ⌊8 · 24 / 3⌋⌋ / 8⌉.
  const newer = await configOf(join(FIXTURES, "newer"));
  assert.deepEqual([newer?.keyValueHeads, newer?.intermediateSize, newer?.ropeTheta], [2, 88, 500_000]);
});

const copyOf = (context: TestContext, name: string) => {
  const folder = join(temporaryFolder(context), name);
  cpSync(join(FIXTURES, name), folder, { recursive: true });
  return folder;
};

test("any of the files stands for all of them", async (context) => {
  const checkpoint = await openCheckpoint(join(FIXTURES, "files-4", "consolidated.02.pth"));
  context.after(checkpoint.close);
  assert.equal(checkpoint.files.length, 4);
  assert.equal(checkpoint.tensors.length, 12);
});

test("a single file is known by its tensors, whatever its name", async (context) => {
  const folder = copyOf(context, "files-1");
  renameSync(join(folder, "consolidated.00.pth"), join(folder, "llama.bin"));
  const checkpoint = await openCheckpoint(join(folder, "llama.bin"));
  checkpoint.close();
  assert.deepEqual(checkpoint.formats, ["meta"]);
});

test("each tensor lies in the files that have a part of it", async () => {
  const checkpoint = await openCheckpoint(join(FIXTURES, "files-4"));
  checkpoint.close();
  const files = (name: string) =>
    filesOf(checkpoint.tensors.find((each) => each.name === name) as TensorView);
  assert.equal(files("model.layers.0.self_attn.o_proj.weight").length, 4);
  assert.equal(files("model.norm.weight").length, 1);
});

test("the tokenizer may lie one folder up", async (context) => {
  const folder = copyOf(context, "files-2");
  assert.equal((await openCheckpoint(folder)).folder, folder);
  writeFileSync(join(folder, "..", "tokenizer.model"), "");
  assert.equal((await openCheckpoint(folder)).folder, join(folder, ".."));
  writeFileSync(join(folder, "tokenizer.model"), "");
  assert.equal((await openCheckpoint(folder)).folder, folder);
});

test("of a folder with one size inside it is that, of one with several the one that fits", async (context) => {
  const root = temporaryFolder(context);
  const small = writeMeta(join(root, "7B"));
  const { tensors } = await openCheckpoint(small);
  const like = async () => tensors;
  const only = await openCheckpoint(root);
  assert.match(only.notes.join(), /Meta's original weights in 7B were read/);
  cpSync(join(FIXTURES, "files-2"), join(root, "13B"), { recursive: true });
  await refusal(() => openCheckpoint(root), "no-weights", {
    file: root,
    hint: /^Give one of the models inside: \S*13B, \S*7B\.$/,
  });
  const chosen = await openCheckpoint(root, { like });
  assert.equal(chosen.files[0]?.path, join(small, "consolidated.00.pth"));
  assert.match(chosen.notes.join(), /holds 13B, 7B; 7B was read, which has the width/);
  // One whose size can't be told is none that fits; two that fit are one too many.
  rmSync(join(root, "13B", "params.json"));
  assert.equal((await openCheckpoint(root, { like })).files[0]?.path, join(small, "consolidated.00.pth"));
  writeMeta(join(root, "7B-chat"));
  await refusal(() => openCheckpoint(root, { like }), "no-weights", { hint: /13B, \S*7B, \S*7B-chat/ });
});

test("weights as transformers has them come first", async (context) => {
  const folder = copyOf(context, "files-1");
  cpSync(join(FIXTURES, "files.safetensors"), join(folder, "model.safetensors"));
  const checkpoint = await openCheckpoint(folder);
  assert.deepEqual(checkpoint.formats, ["safetensors"]);
  const parent = temporaryFolder(context);
  cpSync(folder, join(parent, "original"), { recursive: true });
  cpSync(join(FIXTURES, "files.safetensors"), join(parent, "model.safetensors"));
  assert.deepEqual((await openCheckpoint(parent)).formats, ["safetensors"]);
});
