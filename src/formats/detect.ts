/**
 * In: an open weights file. Out: its format, told by its first bytes and never by its name.
 * Guards: a file that holds no weights (an LFS pointer, a web page, another program's format) is named for
 * what it is, with the way to the right one.
 */
import { ApplyDeltaError } from "../errors.js";
import type { RandomAccessFile } from "../tensor.js";

export type CheckpointFormat = "safetensors" | "torch-zip" | "torch-legacy";

/** How each format is called in summaries. */
export const FORMAT_NAMES: Record<CheckpointFormat, string> = {
  safetensors: "safetensors",
  "torch-zip": "PyTorch .bin",
  "torch-legacy": "PyTorch .bin (before 1.6)",
};

const SNIFF_BYTES = 512;

/**
 * A pickle of any protocol (PROTO, perhaps FRAME and its eight length bytes) of the ten-byte integer
 * 0x1950a86a20f9469cfc6c (torch/serialization.py, MAGIC_NUMBER).
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are bytes, read as Latin-1.
const LEGACY_MAGIC = /^\x80[\x02-\x05](?:\x95[\s\S]{8})?\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19/;
const ZIP_MAGIC = Buffer.from("504b0304", "hex");

interface ForeignFormat {
  matches(head: Buffer): boolean;
  what: string;
  hint: string;
}

const startsWith = (text: string) => (head: Buffer) =>
  head.subarray(0, text.length).equals(Buffer.from(text, "latin1"));

const FOREIGN: readonly ForeignFormat[] = [
  {
    matches: startsWith("GGUF"),
    what: "a GGUF file (llama.cpp, quantized or converted)",
    hint: "Deltas are made against the Hugging Face checkpoint in float16: give that one, and convert the merged model to GGUF afterwards.",
  },
  {
    matches: (head) => ["lmgg", "tjgg", "fmgg", "algg"].includes(head.toString("latin1", 0, 4)),
    what: "a GGML file of an old llama.cpp",
    hint: "Deltas are made against the Hugging Face checkpoint in float16: give that one.",
  },
  {
    matches: startsWith("\x89HDF"),
    what: "an HDF5 file (TensorFlow or Keras weights)",
    hint: "Give the folder's safetensors or PyTorch weights instead.",
  },
  {
    matches: startsWith("\x93NUMPY"),
    what: "a NumPy array file",
    hint: "Give the model in safetensors or as PyTorch weights.",
  },
  {
    matches: (head) => startsWith("\x1f\x8b")(head) || head.toString("latin1", 257, 262) === "ustar",
    what: "an archive (gzip or tar)",
    hint: "Unpack it first and give the folder inside.",
  },
];

/** Errors: `empty-file`, `lfs-pointer`, `html-page`, `foreign-format`, `unknown-format`. */
export async function detectFormat(file: RandomAccessFile): Promise<CheckpointFormat> {
  if (file.byteLength === 0) {
    throw new ApplyDeltaError("empty-file", "The weights file is empty.", {
      file: file.path,
      hint: "The download or copy did not finish: fetch the file again.",
    });
  }
  const bytes = await file.read(0, Math.min(SNIFF_BYTES, file.byteLength));
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (looksLikeSafetensors(head)) return "safetensors";
  if (startsWith("version https://git-lfs")(head)) throw lfsPointer(file, head);
  if (/^\s*<(?:!doctype html|html|head|\?xml)/i.test(head.toString("latin1"))) {
    throw new ApplyDeltaError("html-page", "This is a web page saved under the name of a weights file.", {
      file: file.path,
      hint: "Use the file's download link (…/resolve/main/…, not …/blob/main/…), or huggingface-cli download.",
    });
  }
  for (const { matches, what, hint } of FOREIGN) {
    if (matches(head)) {
      throw new ApplyDeltaError("foreign-format", `This is ${what}, which can't be a base or a delta.`, {
        file: file.path,
        hint,
      });
    }
  }
  if (head.subarray(0, ZIP_MAGIC.length).equals(ZIP_MAGIC)) return "torch-zip";
  if (LEGACY_MAGIC.test(head.toString("latin1"))) return "torch-legacy";
  if (head[8] === 0x7b /* { */ || file.path.endsWith(".safetensors")) return "safetensors";
  throw new ApplyDeltaError(
    "unknown-format",
    "This is neither a safetensors file nor a PyTorch checkpoint.",
    {
      file: file.path,
      expected: "safetensors, a PyTorch zip checkpoint, or a PyTorch stream of before 1.6",
      got: `first bytes ${head.subarray(0, 8).toString("hex")}`,
      hint: "The file is damaged or of another kind: download it again, or give another file.",
    },
  );
}

/**
 * A header length below 4 GiB, then `{`. Asked first: the low bytes of the length may be another format's magic
 * (35615 is gzip's), and the header may hold any text.
 */
function looksLikeSafetensors(head: Buffer): boolean {
  return head.length > 8 && head.readUInt32LE(4) === 0 && head[8] === 0x7b /* { */;
}

function lfsPointer(file: RandomAccessFile, head: Buffer): ApplyDeltaError {
  const size = /^size (\d+)$/m.exec(head.toString("latin1"))?.[1];
  return new ApplyDeltaError("lfs-pointer", "This is a Git LFS pointer, not the weights themselves.", {
    file: file.path,
    ...(size === undefined ? {} : { expected: `${size} bytes of weights` }),
    got: `a pointer of ${file.byteLength} bytes`,
    hint: "Run `git lfs install && git lfs pull` in the model's folder, or use huggingface-cli download.",
  });
}
