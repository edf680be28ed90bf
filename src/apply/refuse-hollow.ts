import type { BaseCheck } from "../base-check/documents.js";
import { ApplyDeltaError } from "../errors.js";

/** Refuses sides without a number that could be added, before gigabytes are written. Errors: `not-finite`, `damaged-weights`. */
export function refuseHollowSides({ tensors, statistics, verdict, cause }: BaseCheck): void {
  const isNaNThroughout = tensors.length > 0 && tensors.every((tensor) => tensor.verdict === "not-finite");
  if (isNaNThroughout && statistics.sampled === 0) {
    const { side, files = [], tensors: names = [], offsetBytes } = cause ?? { side: null };
    const message = `No sum is finite: the ${side ?? "base or delta"} is NaN or infinite.`;
    throw new ApplyDeltaError("not-finite", message, {
      ...(files[0] === undefined ? {} : { file: files[0] }),
      ...(names[0] === undefined ? {} : { tensor: names[0] }),
      ...(offsetBytes == null ? {} : { offsetBytes }),
      expected: "finite numbers on both sides",
      got: `no finite pair in ${tensors.length} tensors`,
      hint: `It was saved so: by a training run that diverged, or a conversion that overflowed. Get the ${side ?? "model"} from elsewhere. To merge all the same, add --force.`,
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
