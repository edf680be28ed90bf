/** Matching two lists of tensors, for tests: by the default rules, but for those that are given. */
import { matchTensors } from "../../src/merge/match.js";
import type { MatchRules } from "../../src/merge/options.js";
import type { TensorView } from "../../src/tensor.js";
import { tinyShapes } from "./model-folder.js";
import { view } from "./views.js";

export const DEFAULT: MatchRules = {
  newRows: "zero",
  trimRows: false,
  deltaOnly: "error",
  baseOnly: "error",
  replace: "none",
};

export const EMBED = "model.embed_tokens.weight";
export const HEAD = "lm_head.weight";
export const ROTARY = "model.layers.0.self_attn.rotary_emb.inv_freq";

export const llama = (rows?: number, width?: number, layers?: number) =>
  tinyShapes(rows, width, layers).map(({ name, shape }) => view(name, shape));

export const side = (tensors: readonly TensorView[], tiesEmbeddings = false) => ({ tensors, tiesEmbeddings });

export const match = (
  base: readonly TensorView[],
  delta: readonly TensorView[],
  rules: Partial<MatchRules> = {},
) => matchTensors(side(base), side(delta), { ...DEFAULT, ...rules });

/** What became of each tensor: `name: action` or `name: dropped from side`. */
export const outcomes = (...args: Parameters<typeof match>) => {
  const { tensors, dropped } = match(...args);
  return [
    ...tensors.map(({ name, action }) => `${name}: ${action}`),
    ...dropped.map(({ name, from }) => `${name}: dropped from ${from}`),
  ];
};

/** The base has a; the delta has b; both have c. */
export const base = [view("a", [1]), view("c", [2, 3])];
export const delta = [view("b", [1]), view("c", [2, 3])];
