/** Changes by layer, made up: for charts and plots. */
import type { ChangeSize, LayerChange } from "../../src/base-check/documents.js";

function sizeOf(ratio: number | null): ChangeSize {
  return { baseRms: ratio === null ? 0 : 0.02, changeRms: 0.02 * (ratio ?? 1), ratio };
}

/** Parts by their labels (`embed`, `layer 3`), and as kinds the labels of another record. */
export function changeOf(
  parts: Readonly<Record<string, number | null>>,
  kinds: Readonly<Record<string, number | null>> = { q_proj: 0.02, lm_head: 0.01 },
): LayerChange {
  return {
    comparedAs: "delta",
    overall: sizeOf(0.015),
    parts: Object.entries(parts).map(([label, ratio]) => {
      const layer = /^layer (\d+)$/.exec(label)?.[1];
      return {
        part: layer === undefined ? label : "layer",
        layer: layer === undefined ? null : Number(layer),
        ...sizeOf(ratio),
      };
    }),
    kinds: Object.entries(kinds).map(([kind, ratio]) => ({ kind, ...sizeOf(ratio) })),
    tensorsCompared: 4,
    tensorsNotCompared: [],
    elementsCompared: 1000,
    elementsSampled: 1000,
    notFinite: 0,
  };
}
