/**
 * Reads a checkpoint's JSON as its reference reader does, within limits that a crafted file can't pass. `JSON.parse`
 * has no limits, lets through what Rust refuses, and gives way to no signal before it is done.
 */
import type { Budget } from "../budget.js";
import { ApplyDeltaError, type ErrorCode } from "../errors.js";
import type { Pause } from "../interrupt.js";
import { JsonError, JsonReader, type JsonValue, PYTHON_WORDS, WORDS } from "./json-reader.js";

/**
 * Values, and lists and objects among them, of a file beside the weights: a config has some hundred; Gemma 3's
 * tokenizer.json has 1.8 million values in half a million lists. Stops 40 million `{}`, which take 56 bytes each.
 */
const FILE_LIMITS = { values: 1 << 17, containers: 1 << 16 };
const LARGE_FILE_LIMITS = { values: 1 << 21, containers: 5 << 17 };

/** Of a header, whose values are paid from the checkpoint's budget: an entry of safetensors has eight, three of them lists. */
const HEADER_LIMITS = { values: 1 << 20, containers: 1 << 19 };

/** Values between two pauses, some milliseconds. */
const SLICE_VALUES = 1 << 14;

export interface StrictJsonContext {
  file: string;
  /** Where the text starts in the file, in bytes. */
  offsetBytes: number;
  /** The error code for malformed text. */
  malformed: ErrorCode;
  /** What its values are paid from. */
  budget: Budget;
  /** Awaited now and then. */
  pause: Pause;
  /** Where it has fewer values than any header may have. */
  mostValues?: number;
  /** Whether Python's words for numbers are read, too. */
  isPython?: boolean;
  hint?: string;
}

/**
 * Parses UTF-8 JSON strictly, as Rust's serde_json does: no key stands twice in an object, no string holds half of a
 * surrogate pair. Errors: `context.malformed` and `duplicate-tensor`, with the byte offset; `too-large`.
 */
export async function parseStrictJson(bytes: Uint8Array, context: StrictJsonContext): Promise<JsonValue> {
  const { malformed, offsetBytes, budget, pause, isPython = false, mostValues, ...details } = context;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const message = "The JSON text is not valid UTF-8.";
    throw new ApplyDeltaError(malformed, message, { ...details, offsetBytes, cause });
  }
  try {
    const reader = new JsonReader(text, isPython ? PYTHON_WORDS : WORDS, true, {
      ...HEADER_LIMITS,
      ...(mostValues === undefined ? {} : { values: mostValues }),
    });
    return await readSlices(reader, pause, (values) => budget.spend("values", values, context.file));
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const [code, message]: [ErrorCode, string] = error.isDuplicate
      ? ["duplicate-tensor", `${error.what}.`]
      : [malformed, `The JSON text is malformed: ${error.what}.`];
    const at = offsetBytes + Buffer.byteLength(text.slice(0, error.at));
    throw new ApplyDeltaError(code, message, { ...details, offsetBytes: at });
  }
}

/**
 * As Python's `json.loads`, with `NaN` and `Infinity`; of a key that stands twice the last counts. For files of up to
 * some MB. Throws a `JsonError`.
 */
export function parsePythonJson(text: string): unknown {
  const reader = new JsonReader(text, PYTHON_WORDS, false, FILE_LIMITS);
  reader.advance(Number.POSITIVE_INFINITY);
  return reader.root;
}

/** The same for a tokenizer.json, which may take a second. */
export async function parseLargePythonJson(text: string, pause: Pause): Promise<unknown> {
  return readSlices(new JsonReader(text, PYTHON_WORDS, false, LARGE_FILE_LIMITS), pause, () => {});
}

/** Reads to the end, with a pause after each slice; `pay` is told how many values there were in it. */
async function readSlices(
  reader: JsonReader,
  pause: Pause,
  pay: (values: number) => void,
): Promise<JsonValue> {
  for (let paid = 0; ; ) {
    const isDone = reader.advance(SLICE_VALUES);
    pay(reader.values - paid);
    paid = reader.values;
    if (isDone) return reader.root;
    await pause();
  }
}
