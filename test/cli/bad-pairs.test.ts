/** What a base and a delta get that don't belong together. */
import { join } from "node:path";
import { type BadInput, PAIR, testBadInput, WEIGHTS } from "../support/bad-input.js";
import {
  floats,
  type Tensor,
  tinyPair,
  tinyShapes,
  withTensor,
  writeModel,
} from "../support/model-folder.js";
import { roundTo, seededNormals } from "../support/numbers.js";

const SHAPES = tinyShapes();
const EMBED = "model.embed_tokens.weight";

const MISFITS: BadInput[] = [
  {
    name: "tensors only in the delta",
    exit: 5,
    code: "names-differ",
    make: ({ delta }) => void writeModel(delta, [...PAIR.delta, floats("score.weight", "F16", [2], [1, 2])]),
    says: ["only in the delta (1): score.weight", "--delta-only keep"],
  },
  {
    name: "tensors only in the base, more than are listed",
    exit: 5,
    code: "names-differ",
    make: ({ base }) =>
      void writeModel(base, [
        ...PAIR.base,
        ...Array.from({ length: 13 }, (_, i) => floats(`extra.${i}`, "F16", [1], [1])),
      ]),
    says: ["only in the base (13): ", /extra\.0, .*extra\.9, and 3 more/, "--base-only keep"],
  },
  {
    name: "another number of layers",
    exit: 5,
    code: "names-differ",
    make: ({ base }) => void writeModel(base, tinyPair(2, tinyShapes(64, 32, 3)).base),
    says: ["only in the base (9)", "The base has 3 layers and the delta 2"],
  },
  {
    name: "shapes that differ, more than are listed",
    exit: 5,
    code: "shapes-differ",
    make: ({ base }) => void writeModel(base, tinyPair(2, tinyShapes(64, 40)).base),
    says: [`21 that differ: ${EMBED}: base [64, 40], delta [64, 32]; `, "and 11 more", "width 40"],
  },
  {
    name: "more rows in the base",
    exit: 5,
    code: "shapes-differ",
    make: ({ base }) => void writeModel(base, grown(PAIR.base, 65)),
    says: [`${EMBED}: base [65, 32], delta [64, 32]`, "lm_head.weight", "v0 Vicuna"],
  },
  {
    name: "new rows that are not allowed",
    exit: 5,
    code: "shapes-differ",
    make: ({ delta }) => {
      writeModel(delta, grown(PAIR.delta, 65));
      return { more: ["--new-rows", "error"] };
    },
    says: [`${EMBED}: base [64, 32], delta [65, 32]`, "--new-rows zero"],
  },
  {
    name: "base and delta swapped",
    exit: 5,
    code: "swapped",
    make: ({ base, delta }) => ({ base: delta, delta: base }),
    says: ["swapped", "Exchange --base and --delta"],
  },
  {
    name: "a merged model in the delta's place",
    exit: 5,
    code: "not-a-delta",
    make: ({ base, delta }) => {
      writeModel(base, withWholeNorms(PAIR.base));
      writeModel(delta, withWholeNorms(PAIR.tuned));
      return undefined;
    },
    says: ["whole model", "Use it as it is", "--force"],
  },
  {
    name: "another model in the base's place",
    exit: 5,
    code: "wrong-base",
    make: ({ base }) => void writeModel(base, tinyPair(99).base),
    says: ["not the model the delta was made from", "LLaMA 1", "--force"],
  },
  {
    name: "an int8 base (bitsandbytes)",
    exit: 4,
    code: "unsupported-dtype",
    make: ({ base }) => void writeModel(base, PAIR.base.flatMap(bitsAndBytes)),
    says: [WEIGHTS, "bitsandbytes int8", "tensor:   model.layers.0", "float16"],
  },
  {
    name: "a GPTQ base",
    exit: 4,
    code: "unsupported-dtype",
    make: ({ base }) => void writeModel(base, PAIR.base.flatMap(gptq)),
    says: [WEIGHTS, "GPTQ", "tensor:   model.layers.0", "float16"],
  },
  {
    name: "an integer delta",
    exit: 4,
    code: "unsupported-dtype",
    make: ({ delta }) =>
      void writeModel(
        delta,
        withTensor(PAIR.delta, "model.norm.weight", (tensor) => ({ ...tensor, dtype: "I16" })),
      ),
    says: [join("delta", WEIGHTS), "tensor:   model.norm.weight", "I16"],
  },
];

testBadInput("base and delta:", MISFITS);

/** The norms of a model are near one, those of a delta near zero. */
function withWholeNorms(tensors: readonly Tensor[]): Tensor[] {
  return tensors.map((tensor) =>
    tensor.name.includes("norm")
      ? floats(tensor.name, "F16", tensor.shape, new Float64Array(tensor.shape[0] ?? 0).fill(1))
      : tensor,
  );
}

/** The embeddings with `rows` rows, the new ones small. */
function grown(tensors: readonly Tensor[], rows: number): Tensor[] {
  const normal = seededNormals(7);
  return tensors.map((tensor) => {
    if (tensor.shape[0] !== SHAPES[0]?.shape[0] || tensor.shape[1] !== 32 || !isEmbedding(tensor))
      return tensor;
    const added = Array.from({ length: (rows - 64) * 32 }, () => roundTo("F16", normal() * 1e-3));
    const bytes = Buffer.concat([tensor.bytes, floats("", "F16", [], added).bytes]);
    return { ...tensor, shape: [rows, 32], bytes };
  });
}

function isEmbedding({ name }: Tensor): boolean {
  return name === EMBED || name === "lm_head.weight";
}

/** As transformers saves a model loaded in 8 bit: int8 weights, their scales, a note on the format. */
function bitsAndBytes(tensor: Tensor): Tensor[] {
  if (!tensor.name.includes("_proj.")) return [tensor];
  const count = tensor.bytes.length / 2;
  const scale = floats(
    tensor.name.replace(/weight$/, "SCB"),
    "F32",
    [tensor.shape[0] ?? 0],
    new Float64Array(tensor.shape[0] ?? 0),
  );
  return [{ ...tensor, dtype: "I8", bytes: new Uint8Array(count) }, scale];
}

/** As AutoGPTQ saves: packed integers, zero points, scales and the order of groups instead of each weight. */
function gptq(tensor: Tensor): Tensor[] {
  if (!tensor.name.includes("_proj.")) return [tensor];
  const stem = tensor.name.replace(/weight$/, "");
  return [
    { name: `${stem}qweight`, dtype: "I32", shape: [4, 32], bytes: new Uint8Array(512) },
    { name: `${stem}qzeros`, dtype: "I32", shape: [1, 4], bytes: new Uint8Array(16) },
    { name: `${stem}g_idx`, dtype: "I32", shape: [32], bytes: new Uint8Array(128) },
    floats(`${stem}scales`, "F16", [1, 32], new Float64Array(32)),
  ];
}
