/**
 * Tells whether a merge is the published model, and where it isn't. Gives up after an hour.
 *
 *   node examples/library/compare.mjs merged lmsys/vicuna-7b-v1.1
 */
import { compareModels, isApplyDeltaError } from "vicuna-apply-delta";

const [a, b] = process.argv.slice(2);
try {
  const { isEqual, tensors, differing } = await compareModels({
    a,
    b,
    weightsOnly: true,
    // The environment isn't read unasked.
    hub: { token: process.env.HF_TOKEN ?? null },
    signal: AbortSignal.timeout(3_600_000),
  });
  console.log(isEqual ? `equal: ${tensors.compared} tensors, every bit` : "different");
  for (const { name, differentBits, largestAbsolute } of differing)
    console.log(`${name}: ${differentBits} elements, by ${largestAbsolute?.difference} at most`);
  process.exitCode = isEqual ? 0 : 1;
} catch (error) {
  if (!isApplyDeltaError(error)) throw error;
  console.error(error.code === "interrupted" ? "It took too long." : error.format());
  process.exitCode = 2;
}
