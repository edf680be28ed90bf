/**
 * `compare` against `cmp`, alternating: the same files, equal, in the page cache. And `compare` where everything
 * differs, which is looked at element by element.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatBytes } from "../src/units.js";
import type { Pair } from "./make-pair.js";
import { printRows, type Row, ratio } from "./rows.js";

const BIN = fileURLToPath(new URL("../../bin/vicuna-apply-delta.js", import.meta.url));

/** Copies the pair's base into `folder` for the time it takes. */
export function benchCompare(
  folder: string,
  pair: Pick<Pair, "base" | "delta" | "bytes">,
  runs: number,
): void {
  const copy = join(folder, "copy-to-compare");
  execFileSync("cp", ["-r", pair.base, copy]);
  const files = readdirSync(copy);
  const row = (name: string): Row => ({ name, seconds: [], peakBytes: 0 });
  const [ours, cmp, different] = [row("compare, equal"), row("cmp, equal"), row("compare, all different")];
  const timed = ({ seconds }: Row, action: () => void) => {
    const start = performance.now();
    action();
    seconds.push((performance.now() - start) / 1000);
  };
  const compareAll = () => {
    for (const file of files) execFileSync("cmp", [join(pair.base, file), join(copy, file)]);
  };
  compareAll(); // Brings both into the page cache.
  for (let run = 0; run < runs; run++) {
    const turns = [() => timed(ours, () => compare(pair.base, copy, 0)), () => timed(cmp, compareAll)];
    for (const turn of run % 2 === 0 ? turns : turns.reverse()) turn();
    timed(different, () => compare(pair.base, pair.delta, 7));
  }
  rmSync(copy, { recursive: true });
  printRows([ours, cmp, different]);
  console.log(`  ratio to cmp            ${ratio(ours, cmp)} (two sides of ${formatBytes(pair.bytes)})\n`);
}

function compare(a: string, b: string, expectedExit: number): void {
  const { status, stderr } = spawnSync(process.execPath, [BIN, "compare", a, b, "--quiet"], {
    encoding: "utf8",
  });
  if (status !== expectedExit) throw new Error(`compare ended with ${status}:\n${stderr}`);
}
