/**
 * The record, beside the shards, of what an unfinished run has done. A shard counts as finished if it was on the disk
 * before its line was, and is as it was then. One JSON document a line: a line that was cut off spoils no other. Each
 * part of a target that is made in parts has a journal for its shards, beside the one with the head.
 */
import { rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import * as z from "zod";
import { ApplyDeltaError } from "../errors.js";
import { parsePythonJson } from "../files/json.js";
import { writeOwnFile } from "../files/own-file.js";
import { linesOf, openSmallFile } from "../files/small-file.js";
import { onTarget } from "../files/write-errors.js";
import { FINDING_KINDS, type Finding } from "./findings.js";
import { partJournal } from "./target.js";

/** Of all parts together. A line is some 100 bytes for each finding; stops files that would fill the memory. */
const MAX_JOURNAL_BYTES = 4_000_000;

/** Of all parts together. A shard takes two, and so does a part; millions would take minutes. */
const MOST_LINES = 1 << 15;

/** Parts of a target; more are a typing error. */
export const MOST_PARTS = 4096;

/** What a merge depends on, by name: a digest for each. A shard is kept if all of them are what they were. */
export type Fingerprint = Readonly<Record<string, string>>;

const headSchema = z.object({
  fingerprint: z.record(z.string(), z.string()),
  /** Of a target that is made in parts: how many, and what each was asked for. */
  parts: z
    .object({ count: z.int().positive().max(MOST_PARTS), options: z.record(z.string(), z.unknown()) })
    .optional(),
});

export type JournalHead = Readonly<z.infer<typeof headSchema>>;

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

/** A folder, wherever it is moved on its disk. */
const identity = z.string();

const publishingSchema = z.object({
  /** Where the old target goes, and which folder it is; null where there is none. */
  replaced: z.object({ name: z.string(), identity }).nullable(),
});

/** Names come before the files. */
const entrySchema = z.union([
  shardSchema,
  z.object({ files: z.array(z.string()) }),
  z.object({ publishing: publishingSchema.nullable() }),
]);

export type Publishing = z.infer<typeof publishingSchema>;

export interface Journal extends JournalHead {
  /** The shards that are whole, by file name. */
  readonly finished: ReadonlySet<string>;
  /** What was counted while they were made. */
  readonly findings: readonly Finding[];
  /** Every file that was made or was to be made in the folder. */
  readonly files: ReadonlySet<string>;
  /** Null where publishing hadn't begun: after that the folder is whole. */
  readonly publishing: Publishing | null;
}

/** The parts in which the two differ. */
export function fingerprintChanges(a: Fingerprint, b: Fingerprint): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((part) => a[part] !== b[part]);
}

export function startJournal(path: string, head: JournalHead): void {
  append(path, head, "empty");
}

/** Remembers a shard that is on the disk. */
export function recordShard(path: string, folder: string, shard: string, findings: readonly Finding[]): void {
  append(path, { shard, ...stateOf(join(folder, shard)), findings }, "append");
}

/** Remembers what files are about to be made. */
export function recordFiles(path: string, files: readonly string[]): void {
  append(path, { files }, "append");
}

/** Remembers that everything is written, and that the folder is about to take the target's place; null: not any more. */
export function recordPublishing(path: string, publishing: Publishing | null): void {
  append(path, { publishing }, "append");
}

/**
 * What was done, by all parts together; `folder`: where the shards are. Null where there is no record, or none that makes
 * sense. Errors: `target-unwritable`, where it can't be read.
 */
export function readJournal(path: string, folder: string): Journal | null {
  const text = readText(path, MAX_JOURNAL_BYTES);
  const head = parseLine(headSchema, linesOf(text).next().value ?? "");
  if (head === null) return null;
  const finished = new Map<string, readonly Finding[]>();
  const files = new Set<string>();
  let publishing: Publishing | null = null;
  for (const entry of entriesOf(path, head, text)) {
    if ("publishing" in entry) publishing = entry.publishing;
    else if ("files" in entry) for (const name of entry.files) files.add(name);
    else {
      files.add(entry.shard);
      if (isAsRecorded(join(folder, entry.shard), entry)) finished.set(entry.shard, entry.findings);
    }
  }
  const findings = [...finished.values()].flat();
  return { ...head, finished: new Set(finished.keys()), findings, files, publishing };
}

/** Makes one journal of those of the parts, for the run that completes the target. */
export function joinJournals(path: string, head: JournalHead): void {
  for (const part of partJournals(path, head)) {
    for (const entry of entriesOf(part, null, readText(part, MAX_JOURNAL_BYTES)))
      append(path, entry, "append");
    onTarget(part, () => rmSync(part, { force: true }));
  }
}

function partJournals(path: string, { parts }: JournalHead): string[] {
  return Array.from({ length: parts?.count ?? 0 }, (_, i) => join(dirname(path), partJournal(i + 1)));
}

/** Those of a journal of this text, and of its parts. The head is none, nor is a line that was cut off. */
function* entriesOf(
  path: string,
  head: JournalHead | null,
  text: string,
): Generator<z.infer<typeof entrySchema>> {
  let [left, lines] = [MAX_JOURNAL_BYTES, 0];
  for (const each of [path, ...(head === null ? [] : partJournals(path, head))]) {
    const found = each === path ? text : readText(each, left);
    left -= found.length;
    for (const line of linesOf(found)) {
      if (++lines > MOST_LINES) throw unreadable(each, `at most ${MOST_LINES} lines`, "more");
      const entry = parseLine(entrySchema, line);
      if (entry !== null) yield entry;
    }
  }
}

/** Empty where there is no such file. Errors: `target-unwritable`. */
function readText(path: string, most: number): string {
  const file = onTarget(path, () => openSmallFile(path, most));
  if (file.kind === "bytes") return file.bytes.toString("utf8");
  if (file.kind === "missing") return "";
  const got = file.kind === "too-large" ? file.got : "something else than a file";
  throw unreadable(path, `a file of at most ${most} bytes`, got);
}

function unreadable(path: string, expected: string, got: string): ApplyDeltaError {
  return new ApplyDeltaError("target-unwritable", "The journal of an interrupted run can't be read.", {
    ...{ file: path, expected, got },
    hint: "It isn't this tool's: move it away, or choose another folder.",
  });
}

/** Adds a line, durably. */
function append(path: string, entry: object, mode: "empty" | "append"): void {
  // The line before may have been cut off where the disk was full.
  const line = `${mode === "append" ? "\n" : ""}${JSON.stringify(entry)}\n`;
  onTarget(path, () => writeOwnFile(path, mode, line, true));
}

function parseLine<T>(schema: z.ZodType<T>, line: string): T | null {
  try {
    return schema.parse(parsePythonJson(line));
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
