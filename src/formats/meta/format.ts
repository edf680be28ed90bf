import { embeddingOf, layerOf } from "../../llama/tensor-names.js";
import type { SplitFormat } from "../format.js";
import { assembleMeta } from "./assemble.js";
import { FIRST_QUERIES, partName, partNumber } from "./names.js";
import { PARAMS, readParams } from "./params.js";

/** The layout in which Meta gives out LLaMA: consolidated.00.pth and so on, with params.json beside them. */
export const meta: SplitFormat = {
  title: "Meta's original",
  partNumber,
  partName,
  companions: [PARAMS, "checklist.chk", "tokenizer.model"],
  checklist: "checklist.chk",
  hubFolder: "original",
  matches: (names) => names.has(FIRST_QUERIES),
  assemble: assembleMeta,
  fits(folder, tensors) {
    const { width, layers } = readParams(folder);
    const numbers = new Set(tensors.map(({ name }) => layerOf(name)).filter((layer) => layer !== null));
    return embeddingOf(tensors)?.shape[1] === width && numbers.size === layers;
  },
};
