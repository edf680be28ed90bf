/** The layout of a target: shards as Hugging Face's own functions fill them, dtypes, offsets, counts. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openCheckpoint } from "../../src/formats/open.js";
import { matchTensors } from "../../src/merge/match.js";
import {
  countActions,
  fixedBytes,
  type LayoutOptions,
  layOut,
  mainDType,
} from "../../src/merge/merge-plan.js";
import type { MatchRules } from "../../src/merge/options.js";
import { type DType, elementCount, type SumDType, type TensorView } from "../../src/tensor.js";
import { fixturePath } from "../support/fixture-path.js";
import { memoryFile } from "../support/memory-file.js";
import { tinyShapes } from "../support/model-folder.js";
import { readSafetensors } from "../support/readers.js";
import { view } from "../support/views.js";
import { wholeShard } from "../support/whole-shard.js";

const RULES: MatchRules = {
  newRows: "zero",
  trimRows: false,
  deltaOnly: "keep",
  baseOnly: "keep",
  replace: "none",
};
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

const side = (tensors: readonly TensorView[]) => ({ tensors, tiesEmbeddings: false });

const plan = (
  base: readonly TensorView[],
  delta: readonly TensorView[],
  options: Partial<LayoutOptions> = {},
  rules: Partial<MatchRules> = {},
) =>
  layOut(matchTensors(side(base), side(delta), { ...RULES, ...rules }), {
    dtype: "auto",
    format: "safetensors",
    maxShardBytes: NO_LIMIT,
    scale: 1,
    ...options,
  });

const fixture = (name: string) => readFileSync(fixturePath(`shard-index/${name}`), "utf8");

interface Split {
  maxShardBytes: number;
  lengths: number[];
  shards: Record<string, string[]>;
  index: string | null;
}
const splits = JSON.parse(fixture("splits.json")) as Record<string, Split>;

for (const [title, { maxShardBytes, lengths, shards, index }] of Object.entries(splits)) {
  test(`shards as huggingface_hub fills them: ${title}`, () => {
    const tensors = lengths.map((length, i) => view(`t${i}`, [length]));
    const got = plan(tensors, tensors, { maxShardBytes });
    assert.equal(got.index, index);
    const namesOf = (list: Iterable<string>) => [...list].sort();
    assert.deepEqual(
      got.shards.map(({ fileName, placed }) => [fileName, namesOf(placed.map(({ tensor }) => tensor.name))]),
      Object.entries(shards).map(([fileName, names]) => [fileName, namesOf(names)]),
    );
  });
}

test("the shards and index of a real save_pretrained, header by header", async () => {
  const folder = fixturePath("shard-index/pretrained");
  const { maxShardBytes } = JSON.parse(fixture("pretrained/state-dict.json")) as { maxShardBytes: number };
  const checkpoint = await openCheckpoint(folder);
  checkpoint.close();
  const { shards, index } = plan(checkpoint.tensors, checkpoint.tensors, { maxShardBytes });
  assert.equal(index, fixture("pretrained/model.safetensors.index.json"));
  assert.deepEqual(
    shards.map(({ fileName }) => fileName),
    readdirSync(folder)
      .filter((name) => name.endsWith(".safetensors"))
      .sort(),
  );
  for (const { fileName, pieces, byteLength } of shards) {
    const written = readFileSync(join(folder, fileName));
    assert.equal(byteLength, written.length);
    assert.equal(pieces.length, 1);
    for (const { offsetBytes, bytes } of pieces) {
      assert.deepEqual(Buffer.from(bytes), written.subarray(offsetBytes, offsetBytes + bytes.length));
    }
  }
});

test("the plan's places are where a reader of its headers finds the tensors", async () => {
  const tensors = tinyShapes().map(({ name, shape }, i) => view(name, shape, i % 3 === 0 ? "F32" : "BF16"));
  const { shards } = plan(tensors, tensors, { maxShardBytes: 9000 });
  assert.ok(shards.length > 3);
  for (const shard of shards) {
    const { placed } = shard;
    const read = await readSafetensors(memoryFile(wholeShard(shard)));
    assert.deepEqual(
      read.map(({ name, dtype, shape, pieces: [{ offsetBytes }] }) => ({ name, dtype, shape, offsetBytes })),
      placed.map(({ tensor: { name, dtype, shape }, offsetBytes }) => ({ name, dtype, shape, offsetBytes })),
    );
  }
});

test("without a limit there is one shard and no index", () => {
  const tensors = tinyShapes().map(({ name, shape }) => view(name, shape));
  const { shards, index } = plan(tensors, tensors);
  assert.deepEqual(
    shards.map(({ fileName }) => fileName),
    ["model.safetensors"],
  );
  assert.equal(index, null);
});

const dtypesOf = (base: DType | null, delta: DType | null, dtype: "auto" | SumDType = "auto") => {
  const side = (of: DType | null) => (of === null ? [] : [view("t", [2], of)]);
  const [tensor] = plan(side(base), side(delta), { dtype }).tensors;
  return [tensor?.sumDType, tensor?.dtype];
};

test("the sum is made in the delta's dtype, and written in the dtype asked for", () => {
  const wide = (dtype: DType) => (dtype === "F64" ? "F32" : dtype);
  for (const delta of ["F16", "BF16", "F32", "F64"] as const) {
    for (const base of ["F16", "BF16", "F32", "F64"] as const) {
      assert.deepEqual(dtypesOf(base, delta), [wide(delta), wide(delta)]);
      for (const asked of ["F16", "BF16", "F32"] as const) {
        assert.deepEqual(dtypesOf(base, delta, asked), [wide(delta), asked]);
      }
    }
    assert.deepEqual(dtypesOf(null, delta, "BF16"), [wide(delta), "BF16"], "only in the delta");
    assert.deepEqual(dtypesOf(delta, null), [wide(delta), wide(delta)], "only in the base");
  }
});

test("rotary buffers keep their dtype whatever is asked for", () => {
  const rotary = "model.layers.3.self_attn.rotary_emb.inv_freq";
  const tensors = [view(rotary, [64], "F32"), view("t", [4], "F32")];
  const { tensors: planned, shards } = plan(tensors, tensors, { dtype: "F16" });
  assert.deepEqual(
    planned.map(({ name, sumDType, dtype }) => [name, sumDType, dtype]),
    [
      [rotary, "F32", "F32"],
      ["t", "F32", "F16"],
    ],
  );
  assert.equal(shards[0]?.placed[0]?.byteLength, 256);
});

test("shards are filled by what is written, not by what is read", () => {
  const tensors = [view("a", [10], "F32"), view("b", [10], "F32")];
  assert.equal(plan(tensors, tensors, { maxShardBytes: 40 }).shards.length, 2);
  assert.equal(plan(tensors, tensors, { maxShardBytes: 40, dtype: "F16" }).shards.length, 1);
});

test("counts of tensors, parameters and bytes", () => {
  const base = [view("a", [3], "F32"), view("model.embed_tokens.weight", [4, 2]), view("only.base", [5])];
  const delta = [
    view("a", [3], "F16"),
    view("model.embed_tokens.weight", [5, 2]),
    view("only.delta", [7]),
    view("rotary_emb.inv_freq", [100], "F32"),
  ];
  const got = plan(base, delta);
  assert.deepEqual(countActions(got), { added: 1, copied: 2, grown: 1, dropped: 1 });
  assert.equal(got.parameterCount, 3 + 10 + 5 + 7);
  assert.equal(got.bytesToRead, 3 * 4 + 3 * 2 + 8 * 2 + 10 * 2 + 5 * 2 + 7 * 2);
  assert.equal(got.bytesToWrite, got.shards[0]?.byteLength);
  assert.equal(
    got.bytesToWrite,
    got.shards.reduce((sum, shard) => sum + fixedBytes(shard), 0) + 2 * got.parameterCount,
  );
});

test("rows that are left out are neither counted nor written", () => {
  const embedding = (rows: number) => [view("model.embed_tokens.weight", [rows, 2])];
  const got = plan(embedding(4), embedding(5), {}, { trimRows: true });
  assert.equal(got.parameterCount, 8);
  assert.equal(got.bytesToRead, 32);
  assert.deepEqual(countActions(got), { added: 1, copied: 0, grown: 0, dropped: 0 });
});

test("the scale is handed on", () => {
  const tensors = [view("t", [1])];
  assert.equal(plan(tensors, tensors, { scale: 0.5 }).scale, 0.5);
});

test("the index counts the tensors' bytes, not the headers', and parameters without buffers", () => {
  const buffer = view("model.layers.0.self_attn.rotary_emb.inv_freq", [4]);
  const tensors = [...tinyShapes().map(({ name, shape }) => view(name, shape)), buffer];
  const { index, tensors: planned } = plan(tensors, tensors, { maxShardBytes: 5000 });
  const { metadata } = JSON.parse(index ?? "null") as {
    metadata: { total_parameters: number; total_size: number };
  };
  const elements = planned.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  assert.deepEqual(metadata, { total_parameters: elements - 4, total_size: 2 * elements });
});

test("the main dtype is that of most bytes", () => {
  const main = (...tensors: TensorView[]) => mainDType(plan(tensors, tensors));
  assert.equal(main(view("a", [10], "BF16"), view("b", [4], "F32")), "BF16");
  assert.equal(main(view("a", [10], "BF16"), view("b", [6], "F32")), "F32");
  assert.equal(main(view("a", [3], "F32"), view("b", [4]), view("c", [4])), "F16");
  assert.equal(main(view("a", [0], "BF16")), "BF16");
  assert.equal(main(view("a", [2], "F32"), view("b", [4], "BF16")), "F32", "of two, the first");
});

test("tensors stay in the order of the match, whatever shard they are in", () => {
  const tensors = ["z", "y", "x", "w"].map((name, i) => view(name, [i === 1 ? 100 : 2]));
  const got = plan(tensors, tensors, { maxShardBytes: 20 });
  assert.deepEqual(
    got.tensors.map(({ name }) => name),
    ["z", "y", "x", "w"],
  );
  assert.deepEqual(
    got.shards.map(({ placed }) => placed.map(({ tensor }) => tensor.name)),
    [["y"], ["w", "x", "z"]],
  );
});
