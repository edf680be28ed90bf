/**
 * The record, beside the shards, of what an unfinished run has done. A shard counts as finished if it was on the disk
 * before its line was, and is as it was then. One JSON document a line: a line that was cut off spoils no other.
 */
import { fsyncSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { errnoOf, isApplyDeltaError } from "../errors.js";
import { onTarget, thenClose, writeFully } from "../files/write-errors.js";
import { FINDING_KINDS, type Finding } from "./findings.js";

/** What a merge depends on, by name: a digest for each. A shard is kept if all of them are what they were. */
export type Fingerprint = Readonly<Record<string, string>>;

const headSchema = z.object({ fingerprint: z.record(z.string(), z.string()) });

const findingSchema = z.strictObject({
  tensor: z.string(),
  kind: z.enum(FINDING_KINDS),
  count: z.int().positive(),
  first: z.int().nonnegative(),
}) satisfies z.ZodType<Finding>;

const shardSchema = z.object({
  shard: z.string(),
  bytes: z.int(),
  modifiedNs: z.string(),
  findings: z.array(findingSchema),
});

const entrySchema = z.union([shardSchema, z.object({ replaced: z.string() })]);

export interface Journal {
  readonly fingerprint: Fingerprint;
  /** The shards that are whole, by file name. */
  readonly finished: ReadonlySet<string>;
  /** What was counted while they were made. */
  readonly findings: readonly Finding[];
  /** Where the old target was put while the new one took its place; null where publishing hadn't come so far. */
  readonly replaced: string | null;
}

/** The parts in which the two differ. */
export function fingerprintChanges(a: Fingerprint, b: Fingerprint): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((part) => a[part] !== b[part]);
}

export function startJournal(path: string, fingerprint: Fingerprint): void {
  append(path, { fingerprint }, "w");
}

/** Remembers a shard that is on the disk. */
export function recordShard(path: string, folder: string, shard: string, findings: readonly Finding[]): void {
  append(path, { shard, ...stateOf(join(folder, shard)), findings }, "a");
}

/** Remembers that the old target is about to be put aside. */
export function recordReplaced(path: string, replaced: string): void {
  append(path, { replaced }, "a");
}

/** Null where there is no record, or none that makes sense. Errors: `target-unwritable`, where it can't be read. */
export function readJournal(path: string, folder: string): Journal | null {
  const lines = readLines(path);
  const head = parseLine(headSchema, lines[0]);
  if (head === null) return null;
  const finished = new Set<string>();
  const findings: Finding[] = [];
  let replaced: string | null = null;
  for (const entry of lines.slice(1).map((line) => parseLine(entrySchema, line))) {
    if (entry === null) continue;
    if ("replaced" in entry) {
      replaced = entry.replaced;
    } else if (isAsRecorded(join(folder, entry.shard), entry)) {
      finished.add(entry.shard);
      findings.push(...entry.findings);
    }
  }
  return { fingerprint: head.fingerprint, finished, findings, replaced };
}

function readLines(path: string): string[] {
  try {
    return onTarget(path, () => readFileSync(path, "utf8")).split("\n");
  } catch (error) {
    if (isApplyDeltaError(error) && errnoOf(error.details.cause) === "ENOENT") return [];
    throw error;
  }
}

/** Adds a line, durably. */
function append(path: string, entry: object, flag: "w" | "a"): void {
  // The line before may have been cut off where the disk was full.
  const line = `${flag === "a" ? "\n" : ""}${JSON.stringify(entry)}\n`;
  const fd = onTarget(path, () => openSync(path, flag));
  thenClose(fd, path, () => {
    writeFully(fd, Buffer.from(line), null, path);
    onTarget(path, () => fsyncSync(fd));
  });
}

function parseLine<T>(schema: z.ZodType<T>, line = ""): T | null {
  try {
    return schema.parse(JSON.parse(line));
  } catch {
    return null;
  }
}

function stateOf(path: string): { bytes: number; modifiedNs: string } {
  const { size, mtimeNs } = onTarget(path, () => statSync(path, { bigint: true }));
  return { bytes: Number(size), modifiedNs: String(mtimeNs) };
}

function isAsRecorded(path: string, entry: z.infer<typeof shardSchema>): boolean {
  try {
    const { bytes, modifiedNs } = stateOf(path);
    return bytes === entry.bytes && modifiedNs === entry.modifiedNs;
  } catch {
    return false;
  }
}
