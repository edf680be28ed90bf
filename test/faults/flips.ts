/**
 * One bit of a target flips, and `verify` looks at it, again and again.
 * In: a folder, how often. Out: for each kind of file, how many flips there were and which checks saw them.
 */
import { closeSync, openSync, readdirSync, readSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { TargetFormat } from "../../src/formats/table.js";
import { PROVENANCE } from "../../src/target/provenance.js";
import { CHECKSUMS } from "../../src/target/sha256sums.js";
import { verifyTarget } from "../../src/verify/verify-target.js";
import { runCli } from "../support/run-cli.js";
import { makeSmallMerge } from "./small-merge.js";

export interface FlipRow {
  readonly format: TargetFormat;
  /** What `verify` has to go by. */
  readonly by: string;
  /** Which files. */
  readonly files: string;
  flips: number;
  /** Checks that failed, with the number of flips that each saw. */
  readonly seenBy: Map<string, number>;
  readonly wrong: string[];
}

/** Which records a target has, and whether base and delta are at hand. */
const MEANS = [
  { by: "SHA256SUMS", checksums: true, withSources: false },
  { by: "base and delta", checksums: false, withSources: true },
] as const;

export interface FlipOptions {
  readonly root: string;
  /** Flips of each kind of file. */
  readonly flips: number;
  readonly seed: number;
}

export async function flipBits(options: FlipOptions, onRow: (row: FlipRow) => void): Promise<void> {
  for (const format of ["safetensors", "bin"] as const) {
    for (const means of MEANS) {
      const { args, target, sources } = makeSmallMerge(join(options.root, `${format}-${means.by}`));
      const made = await runCli([...args, "--format", format, ...(means.checksums ? ["--checksums"] : [])]);
      if (made.code !== 0) throw new Error(`the merge itself fails: ${made.stderr}`);
      const verify = () =>
        verifyTarget({
          target,
          threads: 1,
          ...(means.withSources
            ? { sources: { base: join(sources, "base"), delta: join(sources, "delta") } }
            : {}),
        });
      if ((await verify()).verdict !== "ok") throw new Error("the target is not verified undisturbed");
      const names = readdirSync(target).sort();
      const isShard = (name: string) => /\.(?:safetensors|bin)$/.test(name);
      const isRecord = (name: string) => name === PROVENANCE || name === CHECKSUMS;
      const kinds = {
        weights: names.filter(isShard),
        "config, tokenizer, index, card": names.filter((name) => !isShard(name) && !isRecord(name)),
        "the records": names.filter(isRecord),
      };
      for (const [files, ofKind] of Object.entries(kinds)) {
        const row: FlipRow = { format, by: means.by, files, flips: 0, seenBy: new Map(), wrong: [] };
        const paths = ofKind.map((name) => join(target, name));
        for (let turn = 0; turn < options.flips; turn++)
          await flipOnce(row, placeOf(paths, turn / options.flips, options.seed), verify);
        onRow(row);
      }
      rmSync(target, { recursive: true });
    }
  }
}

interface Place {
  readonly path: string;
  readonly byte: number;
  readonly bit: number;
}

/** Places that are spread evenly over all bytes of the files, from the first to the last. */
function placeOf(paths: readonly string[], share: number, seed: number): Place {
  const sizes = paths.map((path) => statSync(path).size);
  let byte = Math.floor(share * sizes.reduce((sum, size) => sum + size, 0));
  const bit = (byte + seed) % 8;
  let at = 0;
  while (byte >= (sizes[at] as number)) byte -= sizes[at++] as number;
  return { path: paths[at] as string, byte, bit };
}

async function flipOnce(
  row: FlipRow,
  { path, byte, bit }: Place,
  verify: () => ReturnType<typeof verifyTarget>,
): Promise<void> {
  flip(path, byte, bit);
  try {
    const { checks } = await verify();
    const failed = checks.filter(({ status }) => status === "failed").map(({ name }) => name);
    row.flips++;
    for (const name of failed) row.seenBy.set(name, (row.seenBy.get(name) ?? 0) + 1);
    if (failed.length === 0) row.wrong.push(`bit ${bit} of byte ${byte} of ${path} was not seen`);
  } catch (error) {
    row.wrong.push(`bit ${bit} of byte ${byte} of ${path}: ${String(error)}`);
  } finally {
    flip(path, byte, bit);
  }
}

/** One byte is written: the file is not made anew. */
export function flip(path: string, byte: number, bit: number): void {
  const fd = openSync(path, "r+");
  try {
    const value = Buffer.alloc(1);
    readSync(fd, value, 0, 1, byte);
    value.writeUInt8(value.readUInt8() ^ (1 << bit));
    writeSync(fd, value, 0, 1, byte);
  } finally {
    closeSync(fd);
  }
}
