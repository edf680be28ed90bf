/** What is odd about a tuned model. Only warnings: unlike a delta (base-check.md), a pair of models proves nothing. */
import type { LayerChange } from "../base-check/documents.js";
import { MODEL_RATIO } from "../base-check/judge-tensors.js";

/** One sentence, or null. `change` is null where no tensor could be compared. */
export function tuningDoubt(change: LayerChange | null): string | null {
  if (change === null) return "base and tuned model have no tensor in common that could be compared.";
  const { comparedAs, overall, kinds } = change;
  const { baseRms, changeRms, ratio } = overall;
  const sizes = `rms of the base ${baseRms.toPrecision(3)}`;
  const consequence =
    "Are they the right two, each behind its own option? Applying this delta takes --force.";
  if (baseRms === 0) return `the base's weights are all zeros. ${consequence}`;
  if (comparedAs === "delta") {
    return `the tuned model's weights are much smaller than the base's (${sizes}, of the tuned model ${changeRms.toPrecision(3)}): it looks like a delta itself. ${consequence}`;
  }
  if ([overall, ...kinds].every((size) => size.changeRms === 0)) {
    return "base and tuned model are the same wherever they were sampled: the delta will be all zeros.";
  }
  if (ratio !== null && ratio > MODEL_RATIO) {
    return `these two don't look like a model and its tuned version: they differ by ${ratio.toFixed(2)} times the base's weights (${sizes}, of the difference ${changeRms.toPrecision(3)}). ${consequence}`;
  }
  return null;
}
