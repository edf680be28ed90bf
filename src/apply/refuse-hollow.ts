import type { BaseCheck } from "../base-check/documents.js";
import { ApplyDeltaError } from "../errors.js";

/** Refuses sides without a number that could be added, before gigabytes are written. Errors: `not-finite`, `damaged-weights`. */
export function refuseHollowSides({ tensors, statistics, verdict }: BaseCheck): void {
  const isNaNThroughout = tensors.length > 0 && tensors.every((tensor) => tensor.verdict === "not-finite");
  if (isNaNThroughout && statistics.sampled === 0) {
    throw new ApplyDeltaError("not-finite", "Base or delta is NaN or infinite throughout.", {
      expected: "finite numbers on both sides",
      got: `none in ${tensors.length} tensors`,
      hint: "It was saved so: by a training run that diverged, or a conversion that overflowed. `vicuna-apply-delta verify <folder>` tells which of the two it is; get that one from elsewhere. To merge all the same, add --force.",
    });
  }
  if (verdict === "zero-delta" && statistics.baseRms === 0) {
    throw new ApplyDeltaError("damaged-weights", "Base and delta are zeros throughout.", {
      expected: "weights",
      got: `${statistics.sampled} zeros on both sides`,
      hint: "The files were allocated and never filled: let the downloads finish. To merge all the same, add --force.",
    });
  }
}
