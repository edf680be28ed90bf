/** `npm run bench -- --parts 4`: a merge in parts that run at once on this machine, beside the same merge in one run. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Pair } from "./make-pair.js";
import { bring, filesIn, settle } from "./page-cache.js";
import { runProgram } from "./program.js";
import { printRows, ratio, rowOf, timed } from "./rows.js";

/** Prints both, alternating, from the page cache. The peak of the parts is that of the largest process. */
export async function benchParts(root: string, pair: Pair, runs: number, count: number): Promise<void> {
  const target = join(root, "target");
  const sides = ["--base", pair.base, "--delta", pair.delta];
  const size = ["--max-shard-size", `${Math.ceil(pair.bytes / count / 1e6)}MB`];
  const words = ["apply", ...sides, "--target", target, ...size];
  const files = filesIn([pair.base, pair.delta]);
  const clear = () => {
    rmSync(target, { recursive: true, force: true });
    settle();
    bring(files, pair.bytes);
  };
  const whole = rowOf("apply, in one run");
  const inParts = rowOf(`apply, in ${count} parts at once`);
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  for (let run = 0; run < runs; run++) {
    await timed(whole, clear, () => runProgram(...words));
    await timed(inParts, clear, async () => {
      const peaks = numbers.map((number) => runProgram(...words, "--part", `${number}/${count}`));
      return Math.max(...(await Promise.all(peaks)));
    });
  }
  printRows([whole, inParts]);
  console.log(`  ratio to one run: ${ratio(inParts, whole)}`);
}
