/**
 * Whether a folder that exists is what a merge would make: then there is nothing to do. Compared are its record and what
 * the plan says: names, sizes and headers of the files of base and delta, the counts of the base check's sample, rules,
 * dtype, scale and version, the files to make; and that small files, sizes and headers in the folder are as recorded.
 * The data of the weights isn't read, so nothing is claimed of it.
 */

import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { openLocalFile, readFully, sourceExists } from "../files/local-file.js";
import { readAssetBytes } from "../files/small-file.js";
import { openCheckpoint } from "../formats/open.js";
import type { ReadRequest } from "../hub/models.js";
import { localPathsOf } from "../hub/models.js";
import type { Asset } from "../llama/assets.js";
import { silentReporter } from "../progress.js";
import { modelName } from "../target/model-card.js";
import { type Provenance, readProvenance } from "../target/provenance.js";
import { checkTarget } from "../target/target.js";
import { checkRecord } from "../verify/check-files.js";
import { assertVerified } from "../verify/verify-folder.js";
import { programVersion } from "../version.js";
import type { MergeSummary } from "./documents.js";
import type { ApplyDeltaOptions } from "./options.js";
import { targetKindOf } from "./target-kind.js";
import { needsEveryByte, type PlannedMerge, readRequests, summarize, withPlan } from "./with-plan.js";

/** The summary of a folder that exists and is what the merge would make; null where it isn't, or where that can't be told. */
export async function findMade(options: ApplyDeltaOptions, start: number): Promise<MergeSummary | null> {
  const { verify = false, signal } = options;
  const requests = readRequests(options);
  const { isFile, format } = targetKindOf(options);
  const target = checkTarget(options.target, { overwrite: true, sources: localPathsOf(requests), isFile });
  const found = format === "gguf" ? null : recordToCompare(target, requests, options);
  if (found === null && format !== "gguf") return null;
  // Weights that aren't on this machine stay where they are: headers and a sample are enough.
  const asked = { ...options, overwrite: true, reporter: silentReporter };
  return withPlan(asked, needsEveryByte(options) ? "first" : "headers", async (merge, log) => {
    if (!(found === null ? isGgufMade(merge) : await isAlreadyMade(merge, found))) return null;
    if (verify) await assertVerified(target, { ...merge, reporter: options.reporter, signal });
    const { sums, inexact, notFinite } = found?.counted ?? { sums: 0, inexact: 0, notFinite: 0 };
    const counted = { sums, inexact, notFinite, findings: [] };
    return {
      ...summarize(merge, [], start),
      alreadyMade: true,
      counted,
      verified: verify,
      warnings: log.warnings,
    };
  }).catch((error: unknown) => {
    if (isApplyDeltaError(error, "target-altered")) throw madeButAltered(target, error);
    if (isApplyDeltaError(error) && error.code !== "interrupted") return null;
    throw error;
  });
}

function madeButAltered(file: string, { details: { got } }: ApplyDeltaError): ApplyDeltaError {
  const message = "This merge made the folder, but it is no longer what it was.";
  return new ApplyDeltaError("target-altered", message, {
    file,
    got,
    hint: "Make it again with --overwrite, or choose another folder.",
  });
}

/** The record of a folder that may be what is asked for, by what is known before a model is opened; else null. */
function recordToCompare(
  target: string,
  [base, delta]: readonly [ReadRequest, ReadRequest],
  { dtype = "auto", scale = 1, checksums = false }: ApplyDeltaOptions,
): Provenance | null {
  let record: Provenance | null = null;
  try {
    record = readProvenance(target);
  } catch (error) {
    if (!isApplyDeltaError(error)) throw error;
  }
  if (record === null || record.program.version !== programVersion()) return null;
  const isAsked =
    record.dtype === dtype &&
    record.scale === scale &&
    record.target.checksums === checksums &&
    record.base.reference === nameOf(base) &&
    record.delta.reference === nameOf(delta);
  return isAsked ? record : null;
}

function nameOf(request: ReadRequest): string {
  if ("path" in request) return modelName({ path: request.path, hub: null });
  return modelName({ path: "", hub: { repository: request.wanted.repository, commit: "" } });
}

/** Whether the folder of that record is what this merge would make. Errors: those of reading files. */
async function isAlreadyMade(
  { target, plan, files, record }: PlannedMerge,
  found: Provenance,
): Promise<boolean> {
  const { format: _, program: __, target: made, counted: ___, ...recorded } = found;
  const shards = plan.shards.map(({ fileName, byteLength }) => [fileName, byteLength]);
  const small = files.map((file) => [file.fileName, digestOf(file)]);
  const isPlanned =
    isDeepStrictEqual(recorded, { ...record }) &&
    isDeepStrictEqual(sorted(made.weights.map(({ name, bytes }) => [name, bytes])), sorted(shards)) &&
    isDeepStrictEqual(sorted(made.files.map(({ name, sha256 }) => [name, sha256])), sorted(small));
  if (!isPlanned) return false;
  const folder = await openCheckpoint(target);
  try {
    return (await checkRecord({ folder: target }, found, folder)).status === "ok";
  } finally {
    folder.close();
  }
}

/**
 * Whether the files of a GGUF have the sizes and the headers, record included, that this merge would give them, and
 * what lies beside them (a Modelfile) the very bytes.
 */
function isGgufMade({ target, isFile, plan, files }: PlannedMerge): boolean {
  const folder = isFile ? dirname(target) : target;
  const isBeside = (file: Asset) => {
    const { fileName } = file;
    const path = join(folder, fileName);
    return sourceExists(path) && digestOf({ fileName, copyFrom: path }) === digestOf(file);
  };
  if (!files.every(isBeside)) return false;
  return plan.shards.every(({ fileName, byteLength, pieces: [header] }) => {
    const path = join(folder, fileName);
    if (header === undefined || !sourceExists(path)) return false;
    const file = openLocalFile(path);
    try {
      const found = Buffer.alloc(Math.min(header.bytes.length, file.byteLength));
      readFully(file.fd, found, 0, path);
      return file.byteLength === byteLength && found.equals(header.bytes);
    } finally {
      file.close();
    }
  });
}

function sorted(entries: readonly (readonly (string | number)[])[]): string[] {
  return entries.map((entry) => JSON.stringify(entry)).sort();
}

function digestOf(file: Asset): string {
  const content = "text" in file ? file.text : readAssetBytes(file.copyFrom);
  return createHash("sha256").update(content).digest("hex");
}
