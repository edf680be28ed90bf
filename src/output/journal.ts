/**
 * In: what a merge is made of, and each shard that is whole. Out: a record beside the shards that a later run reads.
 * Guards: a shard counts as finished only if it was on the disk before its line was, and is as it was then.
 * The record is one JSON document a line; a line that was cut off is as good as not there.
 */
import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { onTarget } from "./target-error.js";

/** What a merge depends on, by name: a digest for each. A shard is kept if all of them are what they were. */
export type Fingerprint = Readonly<Record<string, string>>;

const headSchema = z.object({ fingerprint: z.record(z.string(), z.string()) });

const shardSchema = z.object({ shard: z.string(), bytes: z.int(), modifiedNs: z.string() });

export interface Journal {
  readonly fingerprint: Fingerprint;
  /** The shards that are whole, by file name. */
  readonly finished: ReadonlySet<string>;
}

/** Starts a record, durably. */
export function startJournal(path: string, fingerprint: Fingerprint): void {
  append(path, { fingerprint }, "w");
}

/** Remembers a shard of the folder, durably. It is on the disk already. */
export function recordShard(path: string, folder: string, shard: string): void {
  append(path, { shard, ...stateOf(join(folder, shard)) }, "a");
}

/** Null where there is no record, or none that can be read. */
export function readJournal(path: string, folder: string): Journal | null {
  let lines: string[];
  try {
    lines = readFileSync(path, "utf8").split("\n");
  } catch {
    return null;
  }
  const head = parseLine(headSchema, lines[0]);
  if (head === null) return null;
  const finished = new Set<string>();
  for (const line of lines.slice(1)) {
    const entry = parseLine(shardSchema, line);
    if (entry === null) break;
    if (isAsRecorded(join(folder, entry.shard), entry)) finished.add(entry.shard);
  }
  return { fingerprint: head.fingerprint, finished };
}

function append(path: string, entry: object, flag: "w" | "a"): void {
  onTarget(path, () => {
    const fd = openSync(path, flag);
    try {
      writeSync(fd, `${JSON.stringify(entry)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  });
}

function parseLine<T>(schema: z.ZodType<T>, line: string | undefined): T | null {
  try {
    return schema.parse(JSON.parse(line ?? ""));
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
