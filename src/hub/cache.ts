/**
 * The cache that is shared with Python: `models--owner--name/{blobs,refs,snapshots}`, as huggingface_hub lays it out
 * (docs "Understand caching"; `file_download.py`). A snapshot's file is whole, or isn't there.
 */
import {
  constants,
  copyFileSync,
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { ApplyDeltaError, errnoOf, uninterrupted } from "../errors.js";
import { makeFolders, replaceOwnFile } from "../files/own-file.js";
import { openSmallFile } from "../files/small-file.js";
import { isCommit } from "./reference.js";

/** As git and the Hub's pages shorten it. */
const SHORT_HASH = /^[0-9a-f]{7,39}$/;

/** A ref is a commit; stops a file that would fill the memory. */
const MAX_REF_BYTES = 1000;

export class RepositoryCache {
  readonly folder: string;
  readonly #locks: string;

  /** `repository` is checked: `owner/name`. `useLinks`: whether links may be made where the file system has them. */
  constructor(
    cacheFolder: string,
    repository: string,
    private readonly useLinks = true,
  ) {
    const name = ["models", ...repository.split("/")].join("--");
    this.folder = join(resolve(cacheFolder), name);
    this.#locks = join(resolve(cacheFolder), ".locks", name);
  }

  /** Where the blob of an etag lies once it is whole. */
  blobPath(etag: string): string {
    return join(this.folder, "blobs", etag);
  }

  /** Not Python's `<etag>.lock`: that one is locked with flock, which Node doesn't have. */
  lockPath(etag: string): string {
    return join(this.#locks, `${etag}.vicuna-apply-delta.lock`);
  }

  snapshotFolder(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** Size of a snapshot's file, or null where it isn't there or its link leads nowhere. */
  sizeOf(commit: string, name: string): number | null {
    return sizeOfFile(join(this.snapshotFolder(commit), name));
  }

  /** The commit a revision stood for when it was last asked for, or null. */
  readRef(revision: string): string | null {
    if (isCommit(revision)) return revision;
    const commit = readCacheText(join(this.folder, "refs", revision), MAX_REF_BYTES)?.trim() ?? "";
    return isCommit(commit) ? commit : null;
  }

  /** The commit of a revision that the cache knows; of a part of a hash that of the one snapshot that begins with it. */
  findCommit(revision: string): string | null {
    const known = this.readRef(revision);
    if (known !== null || !SHORT_HASH.test(revision)) return known;
    const [commit, ...others] = namesIn(join(this.folder, "snapshots")).filter((name) =>
      name.startsWith(revision),
    );
    return commit !== undefined && others.length === 0 ? commit : null;
  }

  /**
   * Names a snapshot that isn't whole yet, by a ref that nobody asks for: `hf cache prune` deletes what no ref names.
   * Gives what forgets it again.
   */
  holdSnapshot(commit: string): () => void {
    // A ref without its folder would be a corrupt cache to Python.
    makeFolder(this.snapshotFolder(commit));
    const path = join(this.folder, "refs", `vicuna-apply-delta-${commit.slice(0, 12)}`);
    makeFolder(dirname(path));
    onCache(path, () => replaceOwnFile(path, commit));
    return () => onCache(path, () => rmSync(path, { force: true }));
  }

  writeRef(revision: string, commit: string): void {
    if (isCommit(revision) || this.readRef(revision) === commit) return;
    const path = join(this.folder, "refs", revision);
    makeFolder(dirname(path));
    onCache(path, () => replaceOwnFile(path, commit));
  }

  /** Shows a whole blob in a snapshot. `isNew`: nothing else may use it yet; `whole`: a file that has its bytes. */
  addToSnapshot(
    commit: string,
    name: string,
    etag: string,
    isNew: boolean,
    whole = this.blobPath(etag),
  ): void {
    const path = join(this.snapshotFolder(commit), name);
    makeFolder(dirname(path));
    onCache(path, () => {
      if (!this.useLinks || !link(this.blobPath(etag), path)) moveOrCopy(whole, path, isNew);
    });
  }
}

/** `EINVAL`, `ENOSYS`, … : file systems that know no links; `EPERM`: Windows without the right to make them. */
const NO_LINKS = new Set(["EPERM", "EACCES", "EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "UNKNOWN"]);

/** What takes a file's place in one step: another run may be reading it. */
const nextOf = (path: string) => `${path}.${process.pid}.incomplete`;

/** Makes a relative link; false where there are none. */
function link(blob: string, path: string): boolean {
  const next = nextOf(path);
  rmSync(next, { force: true });
  try {
    symlinkSync(relative(dirname(path), blob), next);
  } catch (error) {
    if (NO_LINKS.has(errnoOf(error) ?? "")) return false;
    throw error;
  }
  renameSync(next, path);
  return true;
}

/** The file itself, or a copy if something else may use it. */
function moveOrCopy(whole: string, path: string, isNew: boolean): void {
  const next = nextOf(path);
  if (!isNew) copyFileSync(whole, next, constants.COPYFILE_EXCL);
  renameSync(isNew ? whole : next, path);
}

/** Size of a regular file, links followed; null where there is none. */
export function sizeOfFile(path: string): number | null {
  const stat = onCache(path, () => {
    try {
      return statSync(path, { throwIfNoEntry: false });
    } catch (error) {
      if (errnoOf(error) === "ENOTDIR") return undefined;
      throw error;
    }
  });
  return stat?.isFile() ? stat.size : null;
}

/** The text of a regular file of at most `mostBytes`; null where there is none. */
export function readCacheText(path: string, mostBytes: number): string | null {
  const file = onCache(path, () => openSmallFile(path, mostBytes));
  return file.kind === "bytes" ? file.bytes.toString("utf8") : null;
}

/** Names in a folder, sorted; none where there is no such folder. */
export function namesIn(folder: string): string[] {
  return onCache(folder, () => (existsSync(folder) ? readdirSync(folder).sort() : []));
}

const CACHE_TAG =
  "Signature: 8a477f597d28d172789f06886806bc55\n# This folder can be made again (bford.info/cachedir).\n";

/** Makes the cache's folder, marked as one that backups may leave out, as Python marks it. */
export function makeCacheFolder(folder: string): void {
  makeFolder(folder);
  const tag = join(folder, "CACHEDIR.TAG");
  if (sizeOfFile(tag) === null) onCache(tag, () => replaceOwnFile(tag, CACHE_TAG));
}

export function makeFolder(folder: string): void {
  onCache(folder, () => makeFolders(folder));
}

/**
 * Errors: `unsafe-file-name`. No real repository has such a name; one that does wants to write elsewhere. Names with
 * a folder in them are sound, and none of ours.
 */
export function checkFileName(repository: string, name: string): void {
  const parts = name.split("/");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a name with one of these is refused.
  if (!/[\\:\u0000-\u001f]/.test(name) && parts.every((part) => !["", ".", ".."].includes(part))) return;
  throw new ApplyDeltaError("unsafe-file-name", "A file's name in the repository leads out of its folder.", {
    file: repository,
    got: JSON.stringify(name),
    hint: "Don't use this model: no honest repository has such a name.",
  });
}

const OTHER_CACHE = "choose another cache with --cache-dir or HF_HOME";
const WAY_OUT = `Check the folder's permissions, or ${OTHER_CACHE}.`;
const MAKE_ROOM = "Free some space, or choose a cache on another disk with --cache-dir or HF_HOME.";
const NO_FOLDER = `A file or a broken link is where a folder belongs: move it, or ${OTHER_CACHE}.`;

const WAYS_OUT: Readonly<Record<string, string>> = {
  ENOSPC: MAKE_ROOM,
  EDQUOT: MAKE_ROOM,
  ENOENT: `A part of its path is missing or a broken link: repair it, or ${OTHER_CACHE}.`,
  ENOTDIR: NO_FOLDER,
  EEXIST: NO_FOLDER,
  EISDIR: `A folder is where a file belongs: remove it, or ${OTHER_CACHE}.`,
  EROFS: `The disk is read-only: ${OTHER_CACHE}.`,
  ELOOP: `A link points to itself, or is where a file of the cache belongs: remove it, or ${OTHER_CACHE}.`,
  ENAMETOOLONG:
    "A file's name is too long for the disk: choose a cache with a shorter path, or another model.",
};

/** Runs a file operation in the cache with its errors typed, again where a signal cut it short. */
export function onCache<T>(path: string, operation: () => T): T {
  try {
    return uninterrupted(operation);
  } catch (error) {
    throw cacheError(error, path);
  }
}

/** Turns a system error into a typed one. Typed errors and anything else pass through. */
export function cacheError(error: unknown, path: string): unknown {
  const errno = errnoOf(error);
  if (errno === undefined || error instanceof ApplyDeltaError) return error;
  const isFull = errno === "ENOSPC" || errno === "EDQUOT";
  return new ApplyDeltaError(
    isFull ? "no-space" : "cache-unwritable",
    isFull ? "The disk with the Hub's cache is full." : `The Hub's cache can't be used (${errno}).`,
    { file: path, hint: WAYS_OUT[errno] ?? WAY_OUT, cause: error },
  );
}
