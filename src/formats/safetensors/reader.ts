import { ApplyDeltaError } from "../../errors.js";
import { isJsonObject, type JsonObject, type JsonValue, parseStrictJson } from "../../files/strict-json.js";
import {
  bitsOf,
  denseStrides,
  isDType,
  MAX_RANK,
  type RandomAccessFile,
  type TensorView,
} from "../../tensor.js";
import { LENGTH_BYTES, MAX_HEADER_BYTES, METADATA_KEY, OPENING_BRACE } from "./header.js";

/** Characters of a malformed value that an error shows. */
const MAX_EXCERPT = 100;

const DOWNLOAD_AGAIN = "The file is damaged or not a safetensors file: download or copy it again.";

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
  file: File,
): Promise<TensorView<File>[]> {
  if (file.byteLength < LENGTH_BYTES) {
    throw new ApplyDeltaError("truncated-file", "The file is too short for a safetensors header.", {
      file: file.path,
      expected: "at least 8 bytes",
      got: `${file.byteLength} bytes`,
      hint: DOWNLOAD_AGAIN,
    });
  }
  const lengthBytes = await file.read(0, LENGTH_BYTES);
  const headerLength = new DataView(lengthBytes.buffer, lengthBytes.byteOffset).getBigUint64(0, true);
  if (headerLength > MAX_HEADER_BYTES) {
    throw new ApplyDeltaError("header-too-long", "The safetensors header is longer than the format allows.", {
      file: file.path,
      offsetBytes: 0,
      expected: `at most ${MAX_HEADER_BYTES} bytes`,
      got: `${headerLength} bytes`,
      hint: DOWNLOAD_AGAIN,
    });
  }
  const dataStart = LENGTH_BYTES + Number(headerLength);
  if (dataStart > file.byteLength) {
    throw new ApplyDeltaError("truncated-file", "The file ends inside its safetensors header.", {
      file: file.path,
      offsetBytes: file.byteLength,
      expected: `${dataStart} bytes or more`,
      got: `${file.byteLength} bytes`,
      hint: DOWNLOAD_AGAIN,
    });
  }
  const header = parseHeader(await file.read(LENGTH_BYTES, Number(headerLength)), file);
  const entries: Entry<File>[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA_KEY) checkMetadata(value, file);
    else entries.push(readEntry(name, value, file, dataStart));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkTiling(entries, file, dataStart);
  return entries.map((entry) => entry.view);
}

function parseHeader(bytes: Uint8Array, file: RandomAccessFile): JsonObject {
  if (bytes[0] !== OPENING_BRACE) {
    throw new ApplyDeltaError("header-malformed", "The safetensors header does not begin with `{`.", {
      file: file.path,
      offsetBytes: LENGTH_BYTES,
      hint: DOWNLOAD_AGAIN,
    });
  }
  return parseStrictJson(bytes, {
    file: file.path,
    offsetBytes: LENGTH_BYTES,
    malformed: "header-malformed",
    duplicate: "duplicate-tensor",
    hint: DOWNLOAD_AGAIN,
  }) as JsonObject;
}

function checkMetadata(value: JsonValue, file: RandomAccessFile): void {
  if (isJsonObject(value) && Object.values(value).every((text) => typeof text === "string")) return;
  throw new ApplyDeltaError("header-malformed", "`__metadata__` does not map strings to strings.", {
    file: file.path,
    hint: DOWNLOAD_AGAIN,
  });
}

function readEntry<File extends RandomAccessFile>(
  name: string,
  value: JsonValue,
  file: File,
  dataStart: number,
): Entry<File> {
  const fail = (what: string, got?: JsonValue): never => {
    throw new ApplyDeltaError("header-malformed", `A tensor's entry in the header is malformed: ${what}.`, {
      file: file.path,
      tensor: name,
      ...(got === undefined ? {} : { got: excerptOf(got) }),
      hint: DOWNLOAD_AGAIN,
    });
  };
  if (!isJsonObject(value)) return fail("it is not an object", value);
  const unknown = Object.keys(value).find((key) => !["dtype", "shape", "data_offsets"].includes(key));
  if (unknown !== undefined) return fail(`it has the unknown field ${JSON.stringify(unknown)}`);
  const { dtype, shape, data_offsets: range } = value;
  if (typeof dtype !== "string") return fail("`dtype` is not a string", dtype);
  if (!isDType(dtype)) {
    throw new ApplyDeltaError("unsupported-dtype", `The dtype ${JSON.stringify(dtype)} is unknown.`, {
      file: file.path,
      tensor: name,
      hint: "Give the checkpoint in float16, bfloat16 or float32.",
    });
  }
  if (!isCountList(shape) || shape.length > MAX_RANK) return fail("`shape` is not a list of sizes", shape);
  if (!isCountList(range) || range.length !== 2)
    return fail("`data_offsets` is not a pair of offsets", range);
  const [begin = 0, end = 0] = range;
  const elements = checkedProduct(shape);
  const bits = elements * bitsOf(dtype);
  if (!Number.isSafeInteger(bits)) return fail("the shape's size is beyond any file", shape);
  if (end < begin || (end - begin) * 8 !== bits) {
    throw new ApplyDeltaError("wrong-size", "A tensor's byte range does not match its dtype and shape.", {
      file: file.path,
      tensor: name,
      expected: `${bits / 8} bytes for ${dtype} [${shape.join(", ")}]`,
      got: `data_offsets [${begin}, ${end}]`,
      hint: DOWNLOAD_AGAIN,
    });
  }
  const view = { name, dtype, shape, strides: denseStrides(shape), file, offsetBytes: dataStart + begin };
  return { view, begin, end };
}

/** The start of a value as JSON: a crafted one may be as long as the header. */
function excerptOf(value: JsonValue): string {
  const json = JSON.stringify(value);
  return json.length <= MAX_EXCERPT ? json : `${json.slice(0, MAX_EXCERPT)}…`;
}

function isCountList(value: JsonValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number" && item >= 0);
}

/** The product of the extents, or NaN where a partial product leaves the safe integers. */
function checkedProduct(shape: readonly number[]): number {
  if (shape.includes(0)) return 0;
  let product = 1;
  for (const extent of shape) {
    product *= extent;
    if (!Number.isSafeInteger(product)) return Number.NaN;
  }
  return product;
}

/** The ranges, in order, must start at 0, leave no hole, not overlap, and end at the file's end. */
function checkTiling<File extends RandomAccessFile>(
  entries: Entry<File>[],
  file: File,
  dataStart: number,
): void {
  let at = 0;
  for (const { view, begin, end } of entries) {
    if (begin !== at) {
      const code = begin > at ? "data-hole" : "data-overlap";
      const what = begin > at ? "leaves a hole after" : "overlaps";
      throw new ApplyDeltaError(code, `A tensor's byte range ${what} the one before it.`, {
        file: file.path,
        tensor: view.name,
        expected: `data_offsets from ${at}`,
        got: `from ${begin}`,
        hint: DOWNLOAD_AGAIN,
      });
    }
    at = end;
  }
  const dataLength = file.byteLength - dataStart;
  if (at === dataLength) return;
  const code = at > dataLength ? "truncated-file" : "overlong-file";
  const what =
    at > dataLength ? "The file ends before its last tensor." : "There are bytes after the last tensor.";
  throw new ApplyDeltaError(code, what, {
    file: file.path,
    expected: `${dataStart + at} bytes`,
    got: `${file.byteLength} bytes`,
    hint: DOWNLOAD_AGAIN,
  });
}
