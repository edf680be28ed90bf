/**
 * npm run bench -- --hub PYTHON: hub.ts
 * npm run bench -- --meta: meta.ts, with --parameters, --runs and --folder as below
 * npm run bench -- --parts 4: parts.ts, with the same
 * npm run bench -- [--cold] [--parameters 1.5e9] [--runs 5] [--only apply,verify] [--folder DIR] [--python PYTHON]
 *   [--keep]
 *
 * Makes a pair on disk, then times each command with its files in the page cache, alternating with a program of the
 * system that does part of the same; with --cold also with nothing in the page cache, alternating with the disk's own
 * limit for the same bytes (disk-limit.ts). Prints medians, ratios run by run and peak memory, and the kernels' speed
 * in elements a second. With a Python that has fschat, also FastChat's own tool and plain torch; with mergekit, that.
 *
 * A cold run of 7B: `npm run bench -- --cold --parameters 6.74e9 --runs 3 --only apply`; it takes 68 GB of disk.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatBytes, formatCount } from "../src/units.js";
import { applyCase, type Case, casesOf, modelsOf, placesIn } from "./cases.js";
import { benchHub } from "./hub.js";
import { benchKernels, printTable } from "./kernels.js";
import { describePair, makePair, type Pair } from "./make-pair.js";
import { benchMeta } from "./meta.js";
import { bring, forget, settle } from "./page-cache.js";
import { benchParts } from "./parts.js";
import { runProgram } from "./program.js";
import { benchPython } from "./python.js";
import { median, printRows, ratio, rowOf, timed } from "./rows.js";

const { values } = parseArgs({
  options: {
    cold: { type: "boolean", default: false },
    parameters: { type: "string", default: "1.5e9" },
    runs: { type: "string", default: "5" },
    only: { type: "string", default: "" },
    folder: { type: "string", default: tmpdir() },
    python: { type: "string" },
    hub: { type: "string" },
    meta: { type: "boolean", default: false },
    parts: { type: "string" },
    keep: { type: "boolean", default: false },
  },
});

const DISK_LIMIT = fileURLToPath(new URL("./disk-limit.js", import.meta.url));
const SHARDS = 4;

/** Files that take more than this share of memory are not all in the page cache when they are read. */
const MOST_CACHED = 0.6;

if (values.hub !== undefined) {
  await benchHub(values.hub, 1e9);
  process.exit();
}
const runs = Number(values.runs);
const parameters = Number(values.parameters);
mkdirSync(values.folder, { recursive: true });
const root = mkdtempSync(join(values.folder, "vicuna-bench-"));
const places = placesIn(root);
try {
  console.log(`${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, Node ${process.version}`);
  if (values.meta) await benchMeta(root, parameters, runs);
  else {
    const pair = makePair(root, parameters, SHARDS);
    console.log(`${describePair(pair)}, ${runs} runs\n`);
    if (values.parts !== undefined) await benchParts(root, pair, runs, Number(values.parts));
    else await benchAll(pair);
  }
} finally {
  if (!values.keep) rmSync(root, { recursive: true, force: true });
}

async function benchAll(pair: Pair): Promise<void> {
  for (const each of await casesOf(pair, places)) if (isWanted(each)) await benchCase(each);
  rmSync(places.merged, { recursive: true });
  if (values.only === "")
    await comparePeakMemory(pair, makePair(join(root, "smaller"), parameters / 4, SHARDS));
  if (values.python !== undefined) await benchPython(values.python, pair, places, runs);
  await benchBin(pair);
  if (values.only === "") printTable(await benchKernels());
}

function isWanted({ name }: { readonly name: string }): boolean {
  return values.only === "" || values.only.split(",").some((word) => name.startsWith(word));
}

/** The pair again, as torch.save writes it; in place of the other, since a disk may have no room for both. */
async function benchBin(pair: Pair): Promise<void> {
  const name = "apply, .bin files";
  if (!isWanted({ name })) return;
  for (const folder of [pair.base, pair.delta]) rmSync(folder, { recursive: true });
  await benchCase(applyCase(makePair(root, parameters, SHARDS, { format: "bin" }), places, name));
}

async function benchCase(each: Case): Promise<void> {
  const bytes = each.reads.reduce((sum, file) => sum + statSync(file).size, each.writesBytes);
  if (bytes < totalmem() * MOST_CACHED) await benchCached(each);
  if (values.cold) await benchCold(each);
  console.log("");
}

async function benchCached({ name, run, rival, reads, writesBytes }: Case): Promise<void> {
  const ours = rowOf(`${name}, from the page cache`);
  const theirs = rowOf(rival?.name ?? "");
  const clear = () => {
    remove(places.target);
    bring([...new Set(reads)], writesBytes);
  };
  const turns = [() => timed(ours, clear, run)];
  if (rival !== null) turns.push(() => timed(theirs, clear, rival.run));
  await alternate(turns);
  printRows(rival === null ? [ours] : [ours, theirs]);
  if (rival !== null) console.log(`  ratio to ${rival.name}: ${ratio(ours, theirs)}`);
}

async function benchCold({ name, run, rival, reads, writesBytes }: Case): Promise<void> {
  const [ours, limit] = [rowOf(`${name}, cold`), rowOf("the disk's limit for the same bytes")];
  const theirs = rowOf(rival?.name ?? "");
  const clear = () => {
    remove(places.target);
    forget(reads);
  };
  const transfer = async () => {
    execFileSync(process.execPath, [DISK_LIMIT, places.target, String(writesBytes), ...reads]);
    return 0;
  };
  const turns = [() => timed(ours, clear, run), () => timed(limit, clear, transfer)];
  if (rival !== null) turns.push(() => timed(theirs, clear, rival.run));
  await alternate(turns);
  printRows(rival === null ? [ours, limit] : [ours, limit, theirs]);
  console.log(`  share of the disk's limit: ${ratio(limit, ours)}`);
}

/** Who goes first changes from run to run. */
async function alternate(turns: readonly (() => Promise<void>)[]): Promise<void> {
  for (let run = 0; run < runs; run++)
    for (const turn of run % 2 === 0 ? turns : [...turns].reverse()) await turn();
  remove(places.target);
}

function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
  settle();
}

async function comparePeakMemory(large: Pair, small: Pair): Promise<void> {
  for (const pair of [small, large]) {
    const seen: number[] = [];
    while (seen.length < runs) {
      remove(places.target);
      seen.push(await runProgram("apply", ...modelsOf(pair), "--target", places.target));
    }
    console.log(
      `  peak memory at ${formatCount(pair.parameterCount)} parameters: ${formatBytes(median(seen))}`,
    );
  }
  console.log("");
}
