/**
 * Applies a delta, shows how far it is, and stops cleanly on Ctrl-C.
 *
 *   node examples/library/apply.mjs examples/tiny/base examples/tiny/delta merged
 */
import { applyDelta, isApplyDeltaError } from "vicuna-apply-delta";

const [base, delta, target] = process.argv.slice(2);

// The library listens for no signal: what stops it is the program's to decide.
const controller = new AbortController();
process.once("SIGINT", () => controller.abort());

let shown = "";
try {
  const summary = await applyDelta({
    base,
    delta,
    target,
    checksums: true,
    signal: controller.signal,
    onProgress({ activity, bytesDone, bytesTotal }) {
      const line = `${activity} ${Math.floor((100 * bytesDone) / bytesTotal)}%`;
      if (line !== shown) console.error(line);
      shown = line;
    },
    reporter: { warn: (text) => console.error(`warning: ${text}`) },
  });
  console.log(`${summary.target}: ${summary.tensors.added} tensors added`);
  console.log(summary.baseCheck?.sentence);
} catch (error) {
  if (!isApplyDeltaError(error)) throw error;
  // One fact a line: what, where, what was expected and found, what now.
  console.error(error.format());
  process.exitCode = error.exitCode;
}
