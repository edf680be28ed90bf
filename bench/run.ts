/**
 * npm run bench -- [--parameters 1.5e9] [--runs 5] [--folder DIR] [--python PYTHON] [--keep]
 *
 * Makes a pair on disk, then times, alternating in one go: this tool, which ends when all is on the disk, against `cp` of
 * the same output and a sync; with --no-sync against `cp` alone; `compare` and `cmp` of the base and a copy; with a Python that has
 * fschat, also FastChat's own tool and plain torch. Prints medians, ratios and peak memory, and the kernels' speed in
 * elements a second.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { MergeSummary } from "../src/apply/documents.js";
import { formatBytes, formatCount } from "../src/units.js";
import { benchCompare } from "./compare.js";
import { benchKernels, printTable } from "./kernels.js";
import { makePair, type Pair } from "./make-pair.js";
import { median, printRows, type Row, ratio } from "./rows.js";

const ROOT = new URL("../../", import.meta.url);
const BIN = fileURLToPath(new URL("bin/vicuna-apply-delta.js", ROOT));
const PYTHON_SIDE = fileURLToPath(new URL("bench/python_side.py", ROOT));

const WARM_CHUNK_BYTES = 2 ** 28;

const { values } = parseArgs({
  options: {
    parameters: { type: "string", default: "1.5e9" },
    runs: { type: "string", default: "5" },
    folder: { type: "string", default: tmpdir() },
    python: { type: "string" },
    keep: { type: "boolean", default: false },
  },
});

const runs = Number(values.runs);
mkdirSync(values.folder, { recursive: true });
const folder = mkdtempSync(join(values.folder, "vicuna-bench-"));
try {
  console.log(`${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, Node ${process.version}`);
  const pair = makePair(folder, Number(values.parameters), 4);
  console.log(
    `${formatCount(pair.parameterCount)} parameters, ${formatBytes(pair.bytes)} a side, ${runs} runs\n`,
  );
  benchMerge(pair);
  benchCompare(folder, pair, runs);
  const smaller = makePair(join(folder, "smaller"), Number(values.parameters) / 4, 4);
  comparePeakMemory(pair, smaller);
  if (values.python !== undefined) benchPython(pair, values.python);
  printTable(await benchKernels());
} finally {
  if (!values.keep) rmSync(folder, { recursive: true, force: true });
}

function benchMerge(pair: Pair): void {
  const target = join(folder, "target");
  const copy = join(folder, "copy");
  const original = join(folder, "original");
  const ours: Row = { name: "vicuna-apply-delta", seconds: [], peakBytes: 0 };
  const oursUnsynced: Row = { name: "vicuna-apply-delta --no-sync", seconds: [], peakBytes: 0 };
  const cpSynced: Row = { name: "cp of the output, then sync", seconds: [], peakBytes: 0 };
  const cp: Row = { name: "cp of the output", seconds: [], peakBytes: 0 };
  const copyIt = () => execFileSync("cp", ["-r", original, copy]);
  const copyAndSync = () => {
    copyIt();
    execFileSync("sync");
  };
  apply(pair, original); // What cp copies.
  const read = [pair.base, pair.delta, original];
  for (let run = 0; run < runs; run++) {
    const turns = [
      () => timeFresh(target, pair.bytes, read, ours, () => applyInto(ours, pair, target)),
      () => timeFresh(copy, pair.bytes, read, cpSynced, copyAndSync),
      () =>
        timeFresh(target, pair.bytes, read, oursUnsynced, () =>
          applyInto(oursUnsynced, pair, target, ["--no-sync"]),
        ),
      () => timeFresh(copy, pair.bytes, read, cp, copyIt),
    ];
    // Who goes first changes from run to run.
    for (const turn of run % 2 === 0 ? turns : turns.reverse()) turn();
  }
  rmSync(original, { recursive: true });
  printRows([ours, cpSynced, oursUnsynced, cp]);
  console.log(`  all on the disk, against cp and a sync   ${ratio(ours, cpSynced)}`);
  console.log(`  --no-sync, against cp                    ${ratio(oursUnsynced, cp)}\n`);
}

function comparePeakMemory(large: Pair, small: Pair): void {
  const target = join(folder, "memory");
  const peaks = [small, large].map((pair) => {
    const seen = Array.from({ length: runs }, () => {
      rmSync(target, { recursive: true, force: true });
      return apply(pair, target);
    });
    return { pair, peak: median(seen) };
  });
  rmSync(target, { recursive: true });
  for (const { pair, peak } of peaks) {
    console.log(`  peak memory at ${formatCount(pair.parameterCount)} parameters: ${formatBytes(peak)}`);
  }
  console.log("");
}

function benchPython(pair: Pair, python: string): void {
  const rows: Row[] = [];
  spawnPython(python, ["convert", pair.base, pair.delta, folder]);
  const methods = { fastchat: "FastChat --low-cpu-mem", torch: "torch.load, add, torch.save" };
  // Python's writers don't wait for the disk: both of ours are shown.
  const ours: Row = { name: "vicuna-apply-delta, same .bin files", seconds: [], peakBytes: 0 };
  const unsynced: Row = { name: "… with --no-sync", seconds: [], peakBytes: 0 };
  const target = join(folder, "target");
  const bin = { ...pair, base: join(folder, "base-bin"), delta: join(folder, "delta-bin") };
  for (const [method, name] of Object.entries(methods)) {
    const row: Row = { name, seconds: [], peakBytes: 0 };
    for (let run = 0; run < Math.min(runs, 3); run++) {
      const read = [bin.base, bin.delta];
      timeFresh(target, pair.bytes, read, ours, () => applyInto(ours, bin, target));
      timeFresh(target, pair.bytes, read, unsynced, () => applyInto(unsynced, bin, target, ["--no-sync"]));
      fresh(target, pair.bytes, read);
      const output = spawnPython(python, [method, bin.base, bin.delta, target]);
      const { seconds, peakBytes } = JSON.parse(output) as { seconds: number; peakBytes: number };
      row.seconds.push(seconds);
      row.peakBytes = Math.max(row.peakBytes, peakBytes);
      rmSync(target, { recursive: true });
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
  console.log("");
}

function spawnPython(python: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(python, [PYTHON_SIDE, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${PYTHON_SIDE} failed:\n${stderr}`);
  return stdout.trim().split("\n").at(-1) ?? "";
}

function applyInto(row: Row, pair: Pair, target: string, more: readonly string[] = []): void {
  row.peakBytes = Math.max(row.peakBytes, apply(pair, target, more));
}

/** Merges and returns the peak memory in bytes. */
function apply(pair: Pair, target: string, more: readonly string[] = []): number {
  const models = ["--base", pair.base, "--delta", pair.delta, "--target", target];
  const args = [BIN, ...models, "--json", "--quiet", ...more];
  // Its warning that the pair has no tokenizer is not shown.
  const output = execFileSync(process.execPath, args, { encoding: "utf8", stdio: "pipe" });
  const summary = JSON.parse(output) as MergeSummary;
  return summary.peakMemoryBytes;
}

/**
 * Removes a folder, lets the disk come to rest, reads what the next run is to find in the page cache, and makes free
 * memory ready for `byteLength` bytes more.
 */
function fresh(path: string, byteLength: number, read: readonly string[]): void {
  rmSync(path, { recursive: true, force: true });
  execFileSync("sync");
  for (const folder of read) {
    const names = readdirSync(folder).map((name) => join(folder, name));
    execFileSync("cat", names, { stdio: ["ignore", "ignore", "inherit"] });
  }
  // A virtual machine gives free pages back to its host after seconds, and to get them again costs more than to copy
  // them; it may lose pages that weren't read for a minute, too. Memory that was just used is what both find on a
  // machine of one's own.
  const chunks = Math.ceil((byteLength * 1.2) / WARM_CHUNK_BYTES);
  const script = `const kept = []; for (let i = 0; i < ${chunks}; i++) kept.push(Buffer.alloc(${WARM_CHUNK_BYTES}, 1));`;
  execFileSync(process.execPath, ["-e", script]);
}

/** Times an action that makes `path` of `byteLength` bytes; see `fresh`. */
function timeFresh(
  path: string,
  byteLength: number,
  read: readonly string[],
  row: Row,
  action: () => void,
): void {
  fresh(path, byteLength, read);
  const start = performance.now();
  action();
  row.seconds.push((performance.now() - start) / 1000);
  rmSync(path, { recursive: true });
}
