/**
 * The one way in which small files are read: config, tokenizer, records, journals, locks, notes, tokens. A regular file
 * within a limit, or nothing: a FIFO would wait for a writer, a device or a growing file would fill the memory.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import { basename } from "node:path";
import { ApplyDeltaError, errnoOf } from "../errors.js";
import type { JsonFile } from "./json-draft.js";
import { notRegular, onSource } from "./local-file.js";

/** A config is a few kB; stops a file that would fill the memory. */
const MAX_CONFIG_BYTES = 4_000_000;

/**
 * Files beside it that are larger: tokenizer.json has up to some 35 MB, tokenizer.model up to some 5 MB. Stops one that
 * would fill the memory.
 */
const MOST_BYTES: Readonly<Record<string, number>> = {
  "tokenizer.json": 48_000_000,
  "tokenizer.model": 16_000_000,
};

const LFS_POINTER = Buffer.from("version https://git-lfs");

/** How much more is asked for than a file seems to have: files of /proc have a length of 0. */
const SPARE_BYTES = 4096;

export type SmallFile =
  | { readonly kind: "bytes"; readonly bytes: Buffer; readonly modifiedNs: bigint }
  | { readonly kind: "missing" | "not-regular" }
  | { readonly kind: "too-large"; readonly got: string };

/** Reads a file of at most `most` bytes, or says why not. Follows links, never waits. Throws the system's errors and `truncated-file`. */
export function openSmallFile(path: string, most: number): SmallFile {
  try {
    // Looked at before it is opened, which alone does something to some devices, and again afterwards.
    if (!statSync(path).isFile()) return { kind: "not-regular" };
    const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      return fstatSync(fd).isFile() ? readUpTo(fd, path, most) : { kind: "not-regular" };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) return { kind: "missing" };
    throw error;
  }
}

/** Never more than the limit and a little, whatever the file says of its length and whether it grows. */
function readUpTo(fd: number, path: string, most: number): SmallFile {
  const { size: bigSize, mtimeNs: modifiedNs } = fstatSync(fd, { bigint: true });
  const size = Number(bigSize);
  if (size > most) return { kind: "too-large", got: `${size} bytes` };
  let bytes = Buffer.alloc(Math.min(size + SPARE_BYTES, most + 1));
  let length = 0;
  for (;;) {
    const got = readSync(fd, bytes, length, bytes.length - length, length);
    if (got === 0 && length < size) throw endsEarly(path, length, size);
    if (got === 0) return { kind: "bytes", bytes: bytes.subarray(0, length), modifiedNs };
    length += got;
    if (length > most) return { kind: "too-large", got: `more than ${most} bytes` };
    if (length === bytes.length) {
      bytes = Buffer.concat([bytes, Buffer.alloc(Math.min(length, most + 1 - length))]);
    }
  }
}

function endsEarly(path: string, length: number, size: number): ApplyDeltaError {
  return new ApplyDeltaError("truncated-file", `${basename(path)} ends before its length.`, {
    file: path,
    expected: `${size} bytes`,
    got: `${length} bytes`,
    hint: "Let whatever writes it come to an end, then run the same command again.",
  });
}

/** As `openSmallFile`; null where there is no such file, and for what is wrong with one an error. */
function readSmallFile(
  path: string,
  most: number,
  tooLarge: (got: string) => ApplyDeltaError,
): Buffer | null {
  const file = onSource(path, () => openSmallFile(path, most));
  if (file.kind === "bytes") return file.bytes;
  if (file.kind === "missing") return null;
  throw file.kind === "too-large" ? tooLarge(file.got) : notRegular(path);
}

/**
 * As text, where bytes that aren't UTF-8 become U+FFFD; null where there is no such file.
 * Errors: what `tooLarge` makes; `source-unreadable`.
 */
export function readSmallText(
  path: string,
  most: number,
  tooLarge: (got: string) => ApplyDeltaError,
): string | null {
  return readSmallFile(path, most, tooLarge)?.toString("utf8") ?? null;
}

/** The lines of a text, one at a time: a file of nothing but line ends has millions. */
export function* linesOf(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf("\n", at);
    const end = found < 0 ? text.length : found;
    yield text.slice(at, end);
    at = end + 1;
  }
}

/** Refuses a file beside the weights that is too large to be what it is called. Errors: `bad-json`, `tokenizer-malformed`. */
export function checkAssetSize(path: string, byteLength: number): void {
  if (byteLength > mostAssetBytes(path)) throw assetTooLarge(path, `${byteLength} bytes`);
}

function mostAssetBytes(path: string): number {
  return MOST_BYTES[basename(path)] ?? MAX_CONFIG_BYTES;
}

function assetTooLarge(path: string, got: string): ApplyDeltaError {
  const name = basename(path);
  const code = name === "tokenizer.model" ? "tokenizer-malformed" : "bad-json";
  return new ApplyDeltaError(code, `${name} is too large to be a model's ${name}.`, {
    file: path,
    expected: `at most ${mostAssetBytes(path)} bytes`,
    got,
    hint: `Download ${name} again from where the model came from.`,
  });
}

/** Errors: `bad-json`, `tokenizer-malformed`, `lfs-pointer`, `source-not-found`, `source-unreadable`. */
export function readAssetBytes(path: string): Buffer {
  const name = basename(path);
  const bytes = readSmallFile(path, mostAssetBytes(path), (got) => assetTooLarge(path, got));
  if (bytes === null) {
    const hint = "It was there a moment ago: run the same command again.";
    throw new ApplyDeltaError("source-not-found", `There is no file ${name}.`, { file: path, hint });
  }
  if (bytes.subarray(0, LFS_POINTER.length).equals(LFS_POINTER)) {
    throw new ApplyDeltaError("lfs-pointer", `This is a Git LFS pointer, not ${name} itself.`, {
      file: path,
      got: `a pointer of ${bytes.length} bytes`,
      hint: "Run `git lfs install && git lfs pull` in the model's folder, or download the file.",
    });
  }
  return bytes;
}

/** Errors: as `readAssetBytes`. */
export function readAssetText(path: string): JsonFile {
  const bytes = readAssetBytes(path);
  try {
    return { path, text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch (cause) {
    throw new ApplyDeltaError("bad-json", `${basename(path)} is not valid UTF-8.`, {
      file: path,
      hint: `Download ${basename(path)} again from where the model came from.`,
      cause,
    });
  }
}
