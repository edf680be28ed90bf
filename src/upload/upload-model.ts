/** Sends a folder: ask, look at the folder, compare, make the repository, send, commit. */
import { readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { onSource, openLocalFile } from "../files/local-file.js";
import { findWeights } from "../formats/find-weights.js";
import { openCheckpoint } from "../formats/open.js";
import { digestOf, type HubListing } from "../hub/listing.js";
import { silentReporter } from "../progress.js";
import { MODEL_CARD } from "../target/model-card.js";
import { JOURNAL } from "../target/target.js";
import { firstFew, formatBytes, plural } from "../units.js";
import { PROGRAM_NAME } from "../version.js";
import { type UploadAccess, withUploadAccess } from "./access.js";
import type { UploadSummary } from "./documents.js";
import { FileBlob } from "./file-blob.js";
import { filesToSend, isModelPart, meetFiles, type RepositoryFiles } from "./model-files.js";
import type { UploadOptions } from "./options.js";
import { trackUpload } from "./progress.js";

export { checkUploadOptions, type UploadOptions, uploadOptions } from "./options.js";

/**
 * Finds out whether a model that is still to be made may be sent: the name, the token, its rights, what the repository
 * holds. Changes nothing. Errors: those of `withUploadAccess`, `repository-occupied`.
 */
export async function checkUpload(options: UploadOptions): Promise<void> {
  await withAccess(options, async ({ repository, listing }) => {
    const names = listing?.entries.map(({ path }) => path) ?? [];
    const taken = names.filter((name) => isModelPart(name) || name === MODEL_CARD);
    if (taken.length > 0 && options.overwrite !== true) throw occupied(repository, taken);
  });
}

/**
 * Sends a model's folder: weights, index, config, tokenizer, card and records, in one commit. What the Hub has already
 * isn't sent again. Rejects with an `ApplyDeltaError`; then the repository holds what it held.
 * Errors: those of `checkUpload`, of opening a checkpoint, `bad-usage`, `source-changed`.
 */
export async function uploadModel(folder: string, options: UploadOptions): Promise<UploadSummary> {
  const start = performance.now();
  const names = await namesToSend(folder);
  return withAccess(options, async (access) => {
    const { repository, endpoint, listing } = access;
    const met = meetFiles(listing?.entries.map(({ path }) => path) ?? [], names);
    const files = names.map((name) => openLocalFile(join(folder, name)));
    try {
      const blobs = files.map((file, i) => new FileBlob(names[i] as string, file));
      const page = { repository, url: `${endpoint}/${repository}` };
      if (listing !== null && met.stale.length === 0 && (await isThere(blobs, listing, options))) {
        const bytesSkipped = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
        return {
          ...page,
          private: listing.isPrivate,
          commit: listing.commit,
          commitUrl: `${page.url}/commit/${listing.commit}`,
          ...{ sent: [], skipped: names, removed: [], bytesSent: 0, bytesSkipped },
          seconds: (performance.now() - start) / 1000,
        };
      }
      const taken = [...met.replaced, ...met.stale];
      if (taken.length > 0 && options.overwrite !== true) throw occupied(repository, taken);
      const sent = await send(folder, blobs, met, access, options);
      return { ...page, ...sent, seconds: (performance.now() - start) / 1000 };
    } finally {
      for (const file of files) file.close();
    }
  });
}

function withAccess<T>(options: UploadOptions, body: (access: UploadAccess) => Promise<T>): Promise<T> {
  const { repository, hub, reporter = silentReporter, signal } = options;
  return withUploadAccess(
    { repository, isPrivate: options.private ?? false, hub },
    { reporter, signal },
    body,
  );
}

/** Headers, index and sizes are looked at: half a model isn't sent. */
async function namesToSend(folder: string): Promise<string[]> {
  if (!onSource(folder, () => statSync(folder)).isDirectory()) {
    throw new ApplyDeltaError("bad-usage", "The upload needs a folder, but this is a file.", {
      file: folder,
      hint: "Give the folder that contains it.",
    });
  }
  const names = onSource(folder, () => readdirSync(folder));
  if (names.includes(JOURNAL)) {
    throw new ApplyDeltaError("bad-usage", "The model in this folder isn't finished.", {
      file: folder,
      hint: "Run the command that makes it again, then send the finished folder.",
    });
  }
  const checkpoint = await openCheckpoint(folder);
  const shards = checkpoint.files.map(({ path }) => basename(path));
  checkpoint.close();
  const { index } = findWeights(folder);
  return filesToSend(names, index === null ? shards : [...shards, basename(index)]);
}

/** Whether the repository has the very files already. Sizes first: digests take a while. */
async function isThere(
  blobs: readonly FileBlob[],
  { entries }: HubListing,
  { reporter, signal }: UploadOptions,
): Promise<boolean> {
  const pairs = blobs.map((blob) => ({ blob, entry: entries.find(({ path }) => path === blob.fileName) }));
  if (pairs.some(({ blob, entry }) => entry?.byteLength !== blob.size)) return false;
  for (const { blob, entry } of pairs) {
    if (entry === undefined) return false;
    const onProgress = (progress: { readonly bytesDone: number; readonly bytesTotal: number }) =>
      reporter?.progress({ activity: "comparing", ...progress, current: blob.fileName });
    if ((await digestOf(blob.file.path, entry, { signal, onProgress })) !== entry.etag) return false;
  }
  reporter?.progressDone();
  return true;
}

type Sent = Omit<UploadSummary, "repository" | "url" | "seconds">;

/** Makes the repository where it isn't there, sends, commits. */
async function send(
  folder: string,
  blobs: readonly FileBlob[],
  { stale }: RepositoryFiles,
  { repository, listing, writer, relist }: UploadAccess,
  options: UploadOptions,
): Promise<Sent> {
  const { reporter = silentReporter } = options;
  const isPrivate = options.private ?? false;
  const sizes = new Map(blobs.map(({ fileName, size }) => [fileName, size]));
  const bytesOf = (names: readonly string[]) => names.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
  const all = [...sizes.keys()];
  if (listing === null) {
    reporter.note(`making the ${isPrivate ? "private " : ""}repository ${repository} on the Hub.`);
    await writer.create(repository, isPrivate);
  }
  reporter.note(`sending ${formatBytes(bytesOf(all))} in ${plural(all.length, "file")} to ${repository}.`);
  const progress = trackUpload(sizes, reporter);
  let isWhole = false;
  try {
    const title = options.message ?? `Upload ${basename(resolve(folder))} with ${PROGRAM_NAME}`;
    const { oid, url } = await writer.commit(repository, { title, files: blobs, remove: stale }, progress);
    isWhole = true;
    const skipped = progress.skipped();
    const sent = all.filter((name) => !skipped.includes(name));
    return {
      private: listing?.isPrivate ?? (await relist())?.isPrivate ?? null,
      commit: oid,
      commitUrl: url,
      ...{ sent, skipped, removed: stale, bytesSent: bytesOf(sent), bytesSkipped: bytesOf(skipped) },
    };
  } finally {
    progress.end(isWhole);
  }
}

function occupied(repository: string, names: readonly string[]): ApplyDeltaError {
  return new ApplyDeltaError("repository-occupied", "The repository holds another model.", {
    file: repository,
    expected: "a repository that is new or holds no model",
    got: firstFew(names),
    hint: `Choose another repository, or replace what it holds with \`${PROGRAM_NAME} upload <folder> ${repository} --overwrite\`; its history keeps the old files.`,
  });
}
