import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { JsonFile } from "./json-draft.js";
import { onSource, sourceExists, statRegularFile } from "./local-file.js";

/** A config is a few kB; stops a file that would fill the memory. */
const MAX_CONFIG_BYTES = 4_000_000;

/**
 * Files beside it that are larger: tokenizer.json has up to some 35 MB, tokenizer.model up to some 5 MB. Stops one that
 * would fill the memory, and one whose fields take half a minute to walk.
 */
const MOST_BYTES: Readonly<Record<string, number>> = {
  "tokenizer.json": 128_000_000,
  "tokenizer.model": 16_000_000,
};

const LFS_POINTER = Buffer.from("version https://git-lfs");

/** The bytes of a regular file, or what `tooLarge` makes of its size where that is beyond a limit, thrown. */
function readSmallFile(path: string, most: number, tooLarge: (got: string) => ApplyDeltaError): Buffer {
  const { size } = statRegularFile(path);
  if (size > most) throw tooLarge(`${size} bytes`);
  return onSource(path, () => readFileSync(path));
}

/** As text, where bytes that aren't UTF-8 become U+FFFD; null where there is no such file. */
export function readSmallText(
  path: string,
  most: number,
  tooLarge: (got: string) => ApplyDeltaError,
): string | null {
  return sourceExists(path) ? readSmallFile(path, most, tooLarge).toString("utf8") : null;
}

/** Errors: `bad-json`, `tokenizer-malformed`, `lfs-pointer`, `source-unreadable`. */
export function readAssetBytes(path: string): Buffer {
  const name = basename(path);
  const most = MOST_BYTES[name] ?? MAX_CONFIG_BYTES;
  const code = name === "tokenizer.model" ? "tokenizer-malformed" : "bad-json";
  const bytes = readSmallFile(
    path,
    most,
    (got) =>
      new ApplyDeltaError(code, `${name} is too large to be a model's ${name}.`, {
        file: path,
        expected: `at most ${most} bytes`,
        got,
        hint: `Download ${name} again from where the model came from.`,
      }),
  );
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
