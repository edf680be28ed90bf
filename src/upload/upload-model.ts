/** Sends a folder: ask, look at the folder, compare, make the repository, send, commit. */

import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { onSource, openLocalFile } from "../files/local-file.js";
import { readAssetText } from "../files/small-file.js";
import { findWeights } from "../formats/find-weights.js";
import { isGgufName } from "../formats/gguf/find-gguf.js";
import { openCheckpoint } from "../formats/open.js";
import { HubAnswer } from "../hub/answers.js";
import { digestOf, type HubListing } from "../hub/listing.js";
import { MODEL_CARD } from "../llama/file-names.js";
import { silentReporter } from "../progress.js";
import { JOURNAL } from "../target/target.js";
import { firstFew, formatBytes, plural, sumOf } from "../units.js";
import { PROGRAM_NAME } from "../version.js";
import { type UploadAccess, withUploadAccess } from "./access.js";
import type { UploadSummary } from "./documents.js";
import { FileBlob } from "./file-blob.js";
import { filesBeside, filesToSend, meetFiles, meetTarget } from "./model-files.js";
import type { CheckUploadOptions, UploadOptions } from "./options.js";
import { trackUpload } from "./progress.js";
import type { CommitContents } from "./writer.js";

export { type CheckUploadOptions, checkUploadOptions, type UploadOptions, uploadOptions } from "./options.js";

/**
 * Finds out whether a model that is still to be made may be sent: the name, the token, its rights, what the repository
 * holds. Changes nothing. Errors: those of `withUploadAccess`, `repository-occupied`.
 */
export async function checkUpload({ target, format, ...options }: CheckUploadOptions): Promise<void> {
  await withUploadAccess(options, async ({ repository, listing }) => {
    const names = listing?.entries.map(({ path }) => path) ?? [];
    if (options.overwrite !== true) refuseOccupied(repository, meetTarget(names, target ?? "", format));
  });
}

/**
 * Sends a model's folder, or a GGUF with what lies beside it under its name, in one commit: weights, index, config,
 * tokenizer, card and records. What the Hub has already isn't sent again. Rejects with an `ApplyDeltaError`; then the repository holds what it held.
 * Errors: those of `checkUpload`, of opening a checkpoint, `bad-usage`, `source-changed`.
 */
export async function uploadModel(path: string, options: UploadOptions): Promise<UploadSummary> {
  const start = performance.now();
  const { folder, names, isGguf } = await filesOf(path);
  return withUploadAccess(options, async (access) => {
    const { repository, endpoint, listing } = access;
    const { replaced, stale } = meetFiles(listing?.entries.map((entry) => entry.path) ?? [], names, isGguf);
    const files = names.map((name) => openLocalFile(join(folder, name)));
    try {
      const blobs = files.map((file, i) => new FileBlob(names[i] as string, file));
      const sizes = new Map(blobs.map(({ fileName, size }) => [fileName, size]));
      const bytesOf = (some: readonly string[]) => sumOf(some, (name) => sizes.get(name) ?? 0);
      const url = `${endpoint}/${repository}`;
      const isThere = listing !== null && stale.length === 0 && (await holds(listing, blobs, options));
      const mayReplace = options.overwrite === true || access.branch.isPullRequest;
      if (!isThere && !mayReplace) refuseOccupied(repository, [...replaced, ...stale]);
      if (!isThere && names.includes(MODEL_CARD)) await checkCard(folder, access);
      const title = options.message ?? `Upload ${basename(resolve(path))} with ${PROGRAM_NAME}`;
      const { skipped, ...made } = isThere
        ? unchanged(listing, url, names)
        : await send({ title, files: blobs, remove: stale }, sizes, access, options);
      const sent = names.filter((name) => !skipped.includes(name));
      return {
        ...{ repository, url, ...made, sent, skipped, removed: isThere ? [] : stale },
        bytesSent: bytesOf(sent),
        bytesSkipped: bytesOf(skipped),
        seconds: (performance.now() - start) / 1000,
      };
    } finally {
      for (const file of files) file.close();
    }
  });
}

/** Headers, index and sizes are looked at: half a model isn't sent. */
async function filesOf(path: string) {
  const isFolder = onSource(path, () => statSync(path)).isDirectory();
  if (!isFolder && !isGgufName(basename(path))) {
    throw new ApplyDeltaError("bad-usage", "The upload needs a folder or a GGUF, but this is another file.", {
      file: path,
      hint: "Give the folder that contains it.",
    });
  }
  const folder = isFolder ? path : dirname(path);
  const names = onSource(folder, () => readdirSync(folder));
  if (isFolder && names.includes(JOURNAL)) {
    throw new ApplyDeltaError("bad-usage", "The model in this folder isn't finished.", {
      file: folder,
      hint: "Run the command that makes it again, then send the finished folder.",
    });
  }
  const checkpoint = await openCheckpoint(path);
  const shards = checkpoint.files.map((file) => basename(file.path));
  checkpoint.close();
  const isGguf = checkpoint.formats.includes("gguf");
  if (!isFolder) return { folder, names: filesBeside(basename(path), names, shards), isGguf };
  const { index } = findWeights(folder);
  const weights = index === null ? shards : [...shards, basename(index)];
  return { folder, names: filesToSend(names, weights), isGguf };
}

/** Whether the repository has the very files already. Sizes first: digests take a while. */
async function holds(
  { entries }: HubListing,
  blobs: readonly FileBlob[],
  { reporter, signal }: UploadOptions,
): Promise<boolean> {
  const pairs = blobs.flatMap(({ fileName, file, size }) => {
    const entry = entries.find(({ path }) => path === fileName);
    return entry?.byteLength === size ? [{ fileName, file, entry }] : [];
  });
  if (pairs.length < blobs.length) return false;
  for (const { fileName, file, entry } of pairs) {
    const digest = await digestOf(file.path, entry, {
      signal,
      onProgress: (progress) => reporter?.progress({ activity: "comparing", ...progress, current: fileName }),
    });
    if (digest !== entry.etag) return false;
  }
  reporter?.progressDone();
  return true;
}

/** A card whose metadata the Hub refuses would end the upload after the last byte. Errors: `upload-failed`. */
async function checkCard(folder: string, { writer, repository }: UploadAccess): Promise<void> {
  const file = join(folder, MODEL_CARD);
  try {
    await writer.validateCard(readAssetText(file).text);
  } catch (error) {
    if (!(error instanceof HubAnswer) || error.status !== 400) {
      // A mirror that can't look at it may take it all the same.
      if (error instanceof HubAnswer && error.status === 404) return;
      throw error;
    }
    throw new ApplyDeltaError("upload-failed", `The Hub refuses the metadata of ${MODEL_CARD}.`, {
      file,
      got: error.serverMessage,
      hint: `Mend the YAML between the --- at its top. Nothing was sent to ${repository}.`,
    });
  }
}

type Commit = Pick<UploadSummary, "private" | "commit" | "commitUrl" | "pullRequest" | "skipped">;

function unchanged({ isPrivate, commit }: HubListing, url: string, names: readonly string[]): Commit {
  const commitUrl = `${url}/commit/${commit}`;
  return { private: isPrivate, commit, commitUrl, pullRequest: null, skipped: names };
}

/** Makes the repository where it isn't there, sends, commits. */
async function send(
  contents: CommitContents,
  sizes: ReadonlyMap<string, number>,
  { repository, branch, listing, writer, relist }: UploadAccess,
  { private: isPrivate = false, reporter = silentReporter }: UploadOptions,
): Promise<Commit> {
  if (listing === null) {
    reporter.note(`making the ${isPrivate ? "private " : ""}repository ${repository} on the Hub.`);
    await writer.create(repository, isPrivate);
  }
  const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  reporter.note(`sending ${formatBytes(bytes)} in ${plural(sizes.size, "file")} to ${repository}.`);
  const progress = trackUpload(sizes, reporter);
  let isWhole = false;
  try {
    const { oid, url, pullRequestUrl } = await writer.commit(repository, branch, contents, progress);
    isWhole = true;
    return {
      private: listing?.isPrivate ?? (await relist())?.isPrivate ?? null,
      commit: oid,
      commitUrl: url,
      pullRequest: pullRequestUrl,
      skipped: progress.skipped(),
    };
  } finally {
    progress.end(isWhole);
  }
}

/** `taken`: the model files that are in the way. */
function refuseOccupied(repository: string, taken: readonly string[]): void {
  if (taken.length === 0) return;
  throw new ApplyDeltaError("repository-occupied", "The repository holds another model.", {
    file: repository,
    expected: "a repository that is new or holds no model",
    got: firstFew(taken),
    hint: `Choose another repository, or replace what it holds with \`${PROGRAM_NAME} upload <folder> ${repository} --overwrite\`; its history keeps the old files.`,
  });
}
