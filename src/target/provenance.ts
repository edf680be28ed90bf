/**
 * `vicuna-apply-delta.json`: what a target was made from and how. One merge gives one text on any machine: no date, no
 * path, no user's name. It ends with its own digest and has one spelling, so one changed bit shows without any other
 * file. Loaders look for names of their own and leave this one alone.
 */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { basename, join } from "node:path";
import * as z from "zod";
import { ApplyDeltaError, EXIT, isApplyDeltaError } from "../errors.js";
import { parsePythonJson } from "../files/json.js";
import { listOf } from "../files/json-draft.js";
import { onSource } from "../files/local-file.js";
import { headerSha256, piecesByFile } from "../formats/header-sha256.js";
import { type Checkpoint, openCheckpoint } from "../formats/open.js";
import { compareNames } from "../tensor.js";
import { PROGRAM_NAME, programVersion } from "../version.js";
import { checkRecord, malformedRecord, readRecord } from "./read-record.js";
import { checksumFiles } from "./sha256sums.js";
import type { Staging } from "./staging.js";

export const PROVENANCE = "vicuna-apply-delta.json";

/** Raised when a field changes its meaning. */
const FORMAT = 1;

const count = z.number().int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const fileName = z.string().regex(/^[^/\\]+$/);

/** `headerSha256`: of everything in the file but the tensors' data (formats/header-sha256.ts). */
const weightsFile = z.strictObject({ name: fileName, bytes: count, headerSha256: sha256 });

const source = z.strictObject({
  /** The model's own name; never a path. */
  reference: z.string(),
  /** The commit on the Hub; null for a local model. */
  revision: z.string().nullable(),
  files: listOf(weightsFile),
});

const onOneSide = z.enum(["keep", "drop", "error"]);

/** Everything but the target's files: known before the first byte of it is written. */
export const mergeRecordFields = {
  operation: z.literal("add"),
  /** target = base + scale * delta */
  scale: z.number(),
  /** As asked; `auto`: each tensor as in the delta. */
  dtype: z.enum(["auto", "F16", "BF16", "F32", "Q8_0", "Q4_0"]),
  rules: z.strictObject({
    newRows: z.enum(["zero", "mean", "error"]),
    trimRows: z.boolean(),
    deltaOnly: onOneSide,
    baseOnly: onOneSide,
    /** Names of tensors with commas between them; in records of 0.1.0 there is none. */
    replace: z.exactOptional(z.string()),
  }),
  base: source,
  delta: source,
  /** Null where the check was skipped. */
  baseCheck: z
    .strictObject({
      verdict: z.string(),
      checkedIn: z.string().nullable(),
      sampled: count,
      comparable: count,
      inexact: count,
      /** Tensors with a verdict of their own, and those that don't fit; in records of 0.1.0 there are none. */
      judged: z.exactOptional(count),
      unfit: z.exactOptional(listOf(z.string())),
    })
    .nullable(),
  tensors: z.strictObject({
    added: count,
    /** Every tensor that isn't plainly added, and why. */
    others: listOf(z.strictObject({ name: z.string(), action: z.string(), reason: z.string() })),
  }),
  /** Of every element, counted while adding. */
  counted: z.exactOptional(z.strictObject({ sums: count, inexact: count, notFinite: count })),
};

const provenanceSchema = z.strictObject({
  format: z.literal(FORMAT),
  program: z.strictObject({ name: z.literal(PROGRAM_NAME), version: z.string() }),
  ...mergeRecordFields,
  target: z.strictObject({
    weights: listOf(weightsFile),
    /** Every other file but this one and `SHA256SUMS`. */
    files: listOf(z.strictObject({ name: fileName, bytes: count, sha256 })),
    /** Whether there is a `SHA256SUMS`. */
    checksums: z.boolean(),
  }),
});

/** What a merge is made of. */
export type MergeRecord = z.infer<z.ZodObject<typeof mergeRecordFields>>;
export type SourceRecord = z.infer<typeof source>;
export type WeightsRecord = z.infer<typeof weightsFile>;
export type Provenance = z.infer<typeof provenanceSchema>;

/** What identifies a checkpoint's weights: names, sizes, digests of the headers. */
export async function recordWeights({ files, tensors }: Checkpoint): Promise<WeightsRecord[]> {
  const records: WeightsRecord[] = [];
  const pieces = piecesByFile(tensors);
  for (const file of files) {
    records.push({
      name: basename(file.path),
      bytes: file.byteLength,
      headerSha256: await headerSha256(file, pieces.get(file) ?? []),
    });
  }
  return records;
}

/** Writes what the target was made from; `names`: every other file beside the weights. Errors: `target-altered`. */
export async function writeProvenance(
  staging: Staging,
  merge: MergeRecord,
  names: readonly string[],
  checksums: boolean,
): Promise<void> {
  const target = await recordTarget(staging.folder, [...names].sort(compareNames)).catch((error: unknown) => {
    // What this program wrote is well-formed, unless it was changed since.
    const isMalformed = isApplyDeltaError(error) && error.exitCode === EXIT.malformed;
    throw isMalformed ? targetAltered(`weights: ${error.message}`) : error;
  });
  staging.writeFile(PROVENANCE, encodeProvenance(merge, { ...target, checksums }));
}

async function recordTarget(folder: string, names: readonly string[]) {
  const sha256Of = await checksumFiles(folder, names, {});
  const files = names.map((name) => ({
    name,
    bytes: onSource(join(folder, name), () => statSync(join(folder, name))).size,
    sha256: sha256Of.get(name) ?? "",
  }));
  const target = await openCheckpoint(folder);
  try {
    return { weights: await recordWeights(target), files };
  } finally {
    target.close();
  }
}

export function targetAltered(got: string): ApplyDeltaError {
  return new ApplyDeltaError("target-altered", "The target failed its verification and was not made.", {
    got,
    hint: "If `weights`, `sum` or `checksums` failed, what was written isn't what was read back: check the disk, or choose a folder on another. Otherwise base or delta is at fault: look at them with `inspect`.",
  });
}

/** The text of the record. */
export function encodeProvenance(made: MergeRecord, target: Provenance["target"]): string {
  const program = { name: PROGRAM_NAME, version: programVersion() };
  return withDigest({ format: FORMAT, program, ...made, target });
}

/** Two spaces of indent, and as its last field the SHA-256 of the text it has without that field. */
function withDigest(record: object): string {
  const text = JSON.stringify(record, null, 2);
  const digest = createHash("sha256").update(text).digest("hex");
  return `${text.slice(0, -"\n}".length)},\n  "sha256": "${digest}"\n}\n`;
}

/** Null where there is none. Errors: `record-malformed`, `source-unreadable`. */
export function readProvenance(folder: string): Provenance | null {
  const path = join(folder, PROVENANCE);
  const text = readRecord(path);
  if (text === null) return null;
  const parsed = parseObject(path, text);
  const { sha256: _, ...record } = parsed;
  if (typeof record.format === "number" && record.format > FORMAT) {
    throw new ApplyDeltaError("record-malformed", `${PROVENANCE} is of a later version of this program.`, {
      file: path,
      expected: `format ${FORMAT}`,
      got: record.format,
      hint: "Update vicuna-apply-delta, then run the same command again.",
    });
  }
  const checked = checkRecord(provenanceSchema, record, path, "it isn't");
  if (withDigest(record) !== text) throw malformedRecord(path, "its own digest isn't that of its text");
  return checked;
}

function parseObject(path: string, text: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(parsePythonJson(text));
  } catch (cause) {
    throw malformedRecord(path, "it is not a JSON object", undefined, cause);
  }
}
