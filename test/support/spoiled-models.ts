import type { SumDType } from "../../src/tensor.js";
import { roundTo, seededNormals } from "./numbers.js";

const HIDDEN = 64;
const HEAD_WIDTH = 16;
const LAYERS = 4;
const ROWS = 192;
const INNER = 172;

/** Numbers by tensor, in the model's order. */
export type Model = Map<string, Float64Array>;

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

export function shapesOf(isTied: boolean): Map<string, number[]> {
  const shapes = new Map<string, number[]>([[EMBEDDING, [ROWS, HIDDEN]]]);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    for (const name of ["q", "k", "v", "o"])
      shapes.set(`${at}self_attn.${name}_proj.weight`, [HIDDEN, HIDDEN]);
    for (const name of ["gate", "up"]) shapes.set(`${at}mlp.${name}_proj.weight`, [INNER, HIDDEN]);
    shapes.set(`${at}mlp.down_proj.weight`, [HIDDEN, INNER]);
    shapes.set(`${at}input_layernorm.weight`, [HIDDEN]);
    shapes.set(`${at}post_attention_layernorm.weight`, [HIDDEN]);
  }
  shapes.set("model.norm.weight", [HIDDEN]);
  if (!isTied) shapes.set(HEAD, [ROWS, HIDDEN]);
  return shapes;
}

export const countOf = (shape: readonly number[]) => shape.reduce((product, extent) => product * extent, 1);

/** Weights as LLaMA's lie: matrices around 0 with a deviation of 0.02, norms around 0.5. */
export function drawModel(dtype: SumDType, shapes: Map<string, number[]>, seed: number): Model {
  const normal = seededNormals(seed);
  const draw = (shape: number[]) => (shape.length > 1 ? () => 0.02 * normal() : () => 0.5 + 0.1 * normal());
  return new Map(
    [...shapes].map(([name, shape]) => {
      const next = draw(shape);
      return [name, Float64Array.from({ length: countOf(shape) }, () => roundTo(dtype, next()))];
    }),
  );
}

const mapModel = (model: Model, change: (value: number, name: string, at: number) => number): Model =>
  new Map([...model].map(([name, values]) => [name, values.map((value, at) => change(value, name, at))]));

/** Norms move as far as their size lets them, as matrices do. */
export function tuneModel(dtype: SumDType, base: Model, s: number, seed: number): Model {
  const normal = seededNormals(seed);
  return mapModel(base, (value, name) =>
    roundTo(dtype, value + normal() * s * (name.includes("norm") ? 10 : 1)),
  );
}

export function subtractModels(dtype: SumDType, tuned: Model, base: Model): Model {
  return mapModel(tuned, (value, name, at) => roundTo(dtype, value - (base.get(name)?.[at] ?? 0)));
}

/** Bytes to write over a part of a file: from a share of its length on. */
export interface Overwrite {
  readonly side: "base" | "delta";
  readonly shard: number;
  readonly from: number;
  readonly bytes: Uint8Array;
}

export interface Spoiled {
  readonly base: Model;
  readonly delta: Model;
  /** Tensors that must be named; null: all that can be judged. */
  readonly named: readonly string[] | null;
  readonly overwrite?: Overwrite;
}

interface Pair {
  readonly dtype: SumDType;
  readonly s: number;
  readonly base: Model;
  readonly delta: Model;
  readonly tuned: Model;
  readonly other: Model;
}

const matching = (model: Model, pattern: RegExp) => [...model.keys()].filter((name) => pattern.test(name));

/** The base with some of its tensors replaced. */
function replace(
  { base, delta }: Pair,
  names: readonly string[],
  by: (name: string) => Float64Array,
): Spoiled {
  const changed = new Map(
    [...base].map(([name, values]) => [name, names.includes(name) ? by(name) : values]),
  );
  return { base: changed, delta, named: names };
}

export const from = (model: Model) => (name: string) => model.get(name) as Float64Array;

/** transformers' row order to Meta's. */
function toMetaRows(values: Float64Array): Float64Array {
  const rows = values.length / HIDDEN;
  const half = HEAD_WIDTH / 2;
  const turned = new Float64Array(values.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / HEAD_WIDTH);
    const within = row % HEAD_WIDTH;
    const source = head * HEAD_WIDTH + (within % 2) * half + Math.floor(within / 2);
    turned.set(values.subarray(source * HIDDEN, (source + 1) * HIDDEN), row * HIDDEN);
  }
  return turned;
}

/** Where a shard's tensors begin and end: the first half of the names is in the first. */
export function shardOf(model: Model, name: string): number {
  return [...model.keys()].indexOf(name) < Math.ceil(model.size / 2) ? 0 : 1;
}

export const inShard = (model: Model, shard: number) =>
  [...model.keys()].filter((name) => shardOf(model, name) === shard);

const UP = "model.layers.1.mlp.up_proj.weight";
const PAGE = Buffer.from(
  `<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>${"The server is busy. ".repeat(600)}</body></html>`,
);

/** Each way, with the verdicts that are right of it. */
export const SPOILED_MODELS: Readonly<
  Record<string, { verdicts: readonly string[]; make: (pair: Pair) => Spoiled }>
> = {
  "the right base": { verdicts: ["exact"], make: ({ base, delta }) => ({ base, delta, named: [] }) },
  "another model": { verdicts: ["other"], make: ({ other, delta }) => ({ base: other, delta, named: null }) },
  "one of two shards from another model": {
    verdicts: ["mixed"],
    make: (pair) => replace(pair, inShard(pair.base, 1), from(pair.other)),
  },
  "two of four layers from another model": {
    verdicts: ["mixed"],
    make: (pair) => replace(pair, matching(pair.base, /layers\.[12]\./), from(pair.other)),
  },
  "one matrix from another model": {
    verdicts: ["mixed"],
    make: (pair) => replace(pair, [UP], from(pair.other)),
  },
  "all norms doubled": {
    verdicts: ["mixed"],
    make: (pair) =>
      replace(pair, matching(pair.base, /norm/), (name) => from(pair.base)(name).map((value) => 2 * value)),
  },
  "all norms from another model": {
    verdicts: ["mixed"],
    make: (pair) => replace(pair, matching(pair.base, /norm/), from(pair.other)),
  },
  "three rows of a matrix replaced": {
    verdicts: ["mixed"],
    make: (pair) =>
      replace(pair, [UP], (name) => {
        const values = Float64Array.from(from(pair.base)(name));
        values.set(from(pair.other)(name).subarray(0, 3 * HIDDEN), 9 * HIDDEN);
        return values;
      }),
  },
  "q and k in Meta's row order": {
    verdicts: ["mixed"],
    make: (pair) =>
      replace(pair, matching(pair.base, /[qk]_proj/), (name) => toMetaRows(from(pair.base)(name))),
  },
  "zeros in four fifths of a base shard": {
    verdicts: ["mixed"],
    make: (pair) => ({ ...pair, named: null, overwrite: hole("base") }),
  },
  "zeros in four fifths of a delta shard": {
    // A tensor that is zero from end to end may be so by right; the run that ends within one gives it away.
    verdicts: ["mixed"],
    make: (pair) => ({ ...pair, named: null, overwrite: hole("delta") }),
  },
  "0xFF in a base shard": {
    verdicts: ["mixed"],
    make: (pair) => ({
      ...pair,
      named: null,
      overwrite: { side: "base", shard: 0, from: 0.5, bytes: new Uint8Array(4096).fill(0xff) },
    }),
  },
  "an error page in a delta shard": {
    verdicts: ["mixed"],
    make: (pair) => ({
      ...pair,
      named: null,
      overwrite: { side: "delta", shard: 0, from: 0.4, bytes: PAGE },
    }),
  },
  "embedding and head as whole values": {
    verdicts: ["exact"],
    make: ({ base, delta, tuned }) => {
      const ends = matching(delta, /embed_tokens|lm_head/);
      const whole = new Map(
        [...delta].map(([name, values]) => [name, ends.includes(name) ? from(tuned)(name) : values]),
      );
      return { base, delta: whole, named: ends };
    },
  },
  "the base subtracted twice from the embedding": {
    verdicts: ["mixed"],
    make: ({ dtype, base, delta }) => {
      const twice = from(delta)(EMBEDDING).map((value, at) =>
        roundTo(dtype, value - (from(base)(EMBEDDING)[at] as number)),
      );
      return { base, delta: new Map([...delta, [EMBEDDING, twice]]), named: [EMBEDDING] };
    },
  },
  "rounded through bfloat16": {
    verdicts: ["near"],
    make: ({ dtype, base, delta }) => ({
      base: mapModel(base, (value) => roundTo(dtype, roundTo("BF16", value))),
      delta,
      named: [],
    }),
  },
  "tuned on by 1e-3": {
    verdicts: ["near", "other"],
    make: ({ dtype, base, delta }) => ({ base: tuneModel(dtype, base, 1e-3, 77), delta, named: null }),
  },
  "one layer tuned on": {
    verdicts: ["mixed"],
    make: (pair) => {
      const more = tuneModel(pair.dtype, pair.base, 1e-3, 78);
      return replace(pair, matching(pair.base, /layers\.2\..*_proj/), from(more));
    },
  },
  "NaN in a base matrix": {
    verdicts: ["mixed"],
    make: (pair) =>
      replace(pair, [UP], (name) =>
        from(pair.base)(name).map((value, at) => (at === 70 ? Number.NaN : value)),
      ),
  },
  "base and delta swapped": {
    verdicts: ["swapped"],
    make: ({ base, delta }) => ({ base: delta, delta: base, named: [] }),
  },
  "a whole model as delta": {
    verdicts: ["not-a-delta"],
    make: ({ base, tuned }) => ({ base, delta: tuned, named: [] }),
  },
  "another delta as base": {
    verdicts: ["not-a-base"],
    make: ({ dtype, s, base, delta }) => ({
      base: subtractModels(dtype, tuneModel(dtype, base, s, 55), base),
      delta,
      named: [],
    }),
  },
};

function hole(side: "base" | "delta"): Overwrite {
  return { side, shard: 1, from: 0.1, bytes: new Uint8Array(0) };
}

const made = new Map<string, Pair>();

/** A made pair and its other model; the same for the same arguments. Cases copy what they change. */
export function makePair(dtype: SumDType, s: number, isTied: boolean): Pair {
  const key = JSON.stringify([dtype, s, isTied]);
  const pair = made.get(key) ?? drawPair(dtype, s, isTied);
  made.set(key, pair);
  return pair;
}

function drawPair(dtype: SumDType, s: number, isTied: boolean): Pair {
  const shapes = shapesOf(isTied);
  const base = drawModel(dtype, shapes, 1);
  const tuned = tuneModel(dtype, base, s, 2);
  return {
    dtype,
    s,
    base,
    tuned,
    delta: subtractModels(dtype, tuned, base),
    other: drawModel(dtype, shapes, 3),
  };
}
