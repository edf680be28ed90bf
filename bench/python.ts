/** This tool beside Python's on the same .bin files, which stay in the page cache. */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { modelsOf, type Places, weightsIn } from "./cases.js";
import type { Pair } from "./make-pair.js";
import { bring, settle } from "./page-cache.js";
import { runProgram } from "./program.js";
import { median, printRows, type Row, rowOf, timed } from "./rows.js";

const PYTHON_SIDE = fileURLToPath(new URL("../../bench/python_side.py", import.meta.url));

/** They take minutes. */
const MOST_RUNS = 3;

/** By the name of what python_side.py runs, which is that of a package. */
const METHODS = {
  fastchat: "FastChat --low-cpu-mem",
  torch: "torch.load, add, torch.save",
  mergekit: "mergekit, linear with weights 1 and 1",
};

/** Methods whose package `python` hasn't are left out, and said. */
export async function benchPython(
  python: string,
  pair: Pair,
  { target, root }: Places,
  runs: number,
): Promise<void> {
  spawnPython(python, ["convert", pair.base, pair.delta, root]);
  const bin = { ...pair, base: join(root, "base-bin"), delta: join(root, "delta-bin") };
  const clear = () => {
    rmSync(target, { recursive: true, force: true });
    settle();
    bring(weightsIn(bin.base, bin.delta), pair.bytes);
  };
  // Python's writers don't wait for the disk: both of ours are shown.
  const ours = rowOf("vicuna-apply-delta, same .bin files");
  const unsynced = rowOf("… with --no-sync");
  const rows: Row[] = [];
  for (const [method, name] of Object.entries(METHODS)) {
    if (spawnSync(python, [PYTHON_SIDE, "has", method]).status !== 0) {
      console.log(`  ${python} has no ${method}`);
      continue;
    }
    const row = rowOf(name);
    for (let run = 0; run < Math.min(runs, MOST_RUNS); run++) {
      const apply = (...options: string[]) =>
        runProgram("apply", ...modelsOf(bin), "--target", target, ...options);
      await timed(ours, clear, () => apply());
      await timed(unsynced, clear, () => apply("--no-sync"));
      clear();
      const output = spawnPython(python, [method, bin.base, bin.delta, target]);
      const { seconds, peakBytes } = JSON.parse(output) as { seconds: number; peakBytes: number };
      row.seconds.push(seconds);
      row.peakBytes = Math.max(row.peakBytes, peakBytes);
    }
    rows.push(row);
  }
  printRows([ours, unsynced, ...rows]);
  for (const row of rows) {
    const [durable, alike] = [ours, unsynced].map((mine) =>
      (median(row.seconds) / median(mine.seconds)).toFixed(1),
    );
    console.log(`  ${row.name} takes ${durable} times as long, ${alike} with --no-sync`);
  }
  for (const folder of [target, bin.base, bin.delta]) rmSync(folder, { recursive: true, force: true });
  console.log("");
}

function spawnPython(python: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(python, [PYTHON_SIDE, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${PYTHON_SIDE} failed:\n${stderr}`);
  return stdout.trim().split("\n").at(-1) ?? "";
}
