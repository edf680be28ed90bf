import { ApplyDeltaError, type ErrorCode, type ErrorDetails } from "../../errors.js";
import { parseStrictJson } from "../../files/json.js";
import { isJsonObject, type JsonObject, type JsonValue } from "../../files/json-reader.js";
import { bounded } from "../../printable.js";
import {
  bitsOf,
  elementCount,
  isElementDType,
  MAX_RANK,
  type RandomAccessFile,
  type TensorView,
} from "../../tensor.js";
import { assertEnd } from "../format.js";
import type { HeaderReader } from "../header-reader.js";
import { LENGTH_BYTES, MAX_HEADER_BYTES, METADATA_KEY, OPENING_BRACE } from "./header.js";

/** Characters of a malformed value that an error shows: a crafted one may be as long as the header. */
const MAX_EXCERPT = 100;

/** Entries between two pauses, some milliseconds. */
const SLICE_ENTRIES = 1 << 12;

interface Entry<File extends RandomAccessFile> {
  view: TensorView<File>;
  begin: number;
  end: number;
}

/**
 * The tensors of a safetensors file as dense views, in the order of their data, which they tile exactly. The header is
 * checked whole (huggingface/safetensors, README "Format" and safetensors/src/tensor.rs, `Metadata::validate`).
 * Errors: `truncated-file`, `header-too-long`, `header-malformed`, `unsupported-dtype`, `duplicate-tensor`,
 * `wrong-size`, `data-hole`, `data-overlap`, `overlong-file`.
 */
export async function readSafetensors<File extends RandomAccessFile>(
  file: HeaderReader<File>,
): Promise<TensorView<File>[]> {
  const { header, dataStart } = await readHeader(file);
  const entries: Entry<File>[] = [];
  for (const name of Object.keys(header)) {
    const value = header[name] as JsonValue;
    if (name === METADATA_KEY) checkMetadata(value, file);
    else entries.push(readEntry(name, value, file, dataStart));
    if (entries.length % SLICE_ENTRIES === 0) await file.pause();
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkTiling(entries, file, dataStart);
  return entries.map((entry) => entry.view);
}

async function readHeader(
  file: HeaderReader<RandomAccessFile>,
): Promise<{ header: JsonObject; dataStart: number }> {
  if (file.byteLength < LENGTH_BYTES) {
    throw refusal(file, "truncated-file", "The file is too short for a safetensors header.", {
      expected: "at least 8 bytes",
      got: `${file.byteLength} bytes`,
    });
  }
  const lengthBytes = await file.read(0, LENGTH_BYTES);
  const headerLength = new DataView(lengthBytes.buffer, lengthBytes.byteOffset).getBigUint64(0, true);
  if (headerLength > MAX_HEADER_BYTES) {
    throw refusal(file, "header-too-long", "The safetensors header is longer than the format allows.", {
      offsetBytes: 0,
      expected: `at most ${MAX_HEADER_BYTES} bytes`,
      got: `${headerLength} bytes`,
    });
  }
  const dataStart = LENGTH_BYTES + Number(headerLength);
  if (dataStart > file.byteLength) {
    throw refusal(file, "truncated-file", "The file ends inside its safetensors header.", {
      offsetBytes: file.byteLength,
      expected: `${dataStart} bytes or more`,
      got: `${file.byteLength} bytes`,
    });
  }
  const bytes = await file.read(LENGTH_BYTES, Number(headerLength));
  if (bytes[0] !== OPENING_BRACE) {
    const message = "The safetensors header does not begin with `{`.";
    throw refusal(file, "header-malformed", message, { offsetBytes: LENGTH_BYTES });
  }
  const { path, budget, pause } = file;
  const context = {
    file: path,
    offsetBytes: LENGTH_BYTES,
    malformed: "header-malformed",
    budget,
    pause,
  } as const;
  return { header: (await parseStrictJson(bytes, context)) as JsonObject, dataStart };
}

function checkMetadata(value: JsonValue, file: RandomAccessFile): void {
  if (value === null) return;
  if (isJsonObject(value) && Object.values(value).every((text) => typeof text === "string")) return;
  throw refusal(file, "header-malformed", "`__metadata__` does not map strings to strings.");
}

/** The format's own reader ignores fields beyond the three, and so does this one. */
function readEntry<File extends RandomAccessFile>(
  name: string,
  value: JsonValue,
  file: HeaderReader<File>,
  dataStart: number,
): Entry<File> {
  const malformed = (what: string, got: JsonValue | undefined): ApplyDeltaError =>
    refusal(file, "header-malformed", `A tensor's entry in the header is malformed: ${what}.`, {
      tensor: name,
      ...(got === undefined ? {} : { got: bounded(JSON.stringify(got), MAX_EXCERPT) }),
    });
  if (!isJsonObject(value)) throw malformed("it is not an object", value);
  const { dtype, shape, data_offsets: range } = value;
  if (typeof dtype !== "string") throw malformed("`dtype` is not a string", dtype);
  if (!isElementDType(dtype)) {
    throw refusal(file, "unsupported-dtype", `The dtype ${JSON.stringify(dtype)} is unknown.`, {
      tensor: name,
      hint: "Give the checkpoint in float16, bfloat16 or float32.",
    });
  }
  if (!isCountList(shape) || shape.length > MAX_RANK)
    throw malformed("`shape` is not a list of sizes", shape);
  if (!isCountList(range) || range.length !== 2)
    throw malformed("`data_offsets` is not a pair of offsets", range);
  const [begin = 0, end = 0] = range;
  const bits = elementCount(shape) * bitsOf(dtype);
  if (!Number.isSafeInteger(bits)) throw malformed("the shape's size is beyond any file", shape);
  if (end < begin || (end - begin) * 8 !== bits) {
    throw refusal(file, "wrong-size", "A tensor's byte range does not match its dtype and shape.", {
      tensor: name,
      expected: `${bits / 8} bytes for ${dtype} [${shape.join(", ")}]`,
      got: `data_offsets [${begin}, ${end}]`,
    });
  }
  const view = file.view({ name, dtype, shape, offsetBytes: dataStart + begin });
  return { view, begin, end };
}

function isCountList(value: JsonValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number" && item >= 0);
}

/** The ranges, in order, must start at 0, leave no hole, not overlap, and end at the file's end. */
function checkTiling(
  entries: readonly Entry<RandomAccessFile>[],
  file: RandomAccessFile,
  dataStart: number,
): void {
  let at = 0;
  for (const { view, begin, end } of entries) {
    if (begin !== at) {
      const code = begin > at ? "data-hole" : "data-overlap";
      const what = begin > at ? "leaves a hole after" : "overlaps";
      throw refusal(file, code, `A tensor's byte range ${what} the one before it.`, {
        tensor: view.name,
        expected: `data_offsets from ${at}`,
        got: `from ${begin}`,
      });
    }
    at = end;
  }
  assertEnd(file, dataStart + at);
}

function refusal(
  { path }: RandomAccessFile,
  code: ErrorCode,
  message: string,
  details: ErrorDetails = {},
): ApplyDeltaError {
  return new ApplyDeltaError(code, message, { file: path, ...details });
}
