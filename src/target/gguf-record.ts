/**
 * What a GGUF was made from, as a key of the file itself: it can't be lost beside it, and llama.cpp and Ollama take
 * keys they don't know without a word.
 */
import * as z from "zod";
import { parsePythonJson } from "../files/json.js";
import type { GgufEntry } from "../formats/gguf/metadata.js";
import { PROGRAM_NAME, programVersion } from "../version.js";
import { type MergeRecord, mergeRecordFields } from "./provenance.js";
import { checkRecord } from "./read-record.js";

export const RECORD_KEY = "vicuna_apply_delta.record";

/** Raised when a field changes its meaning. */
const FORMAT = 1;

const recordSchema = z.strictObject({
  format: z.literal(FORMAT),
  program: z.strictObject({ name: z.literal(PROGRAM_NAME), version: z.string() }),
  /** The name that the model's keys were made of. */
  name: z.string(),
  /** The prompt template that was asked for. */
  chatTemplate: z.string().nullable(),
  ...mergeRecordFields,
});

export type GgufRecord = z.infer<typeof recordSchema>;

/** How a GGUF's keys were made, besides its weights. */
export type GgufNaming = Pick<GgufRecord, "name" | "chatTemplate">;

export function ggufRecordEntry(made: MergeRecord, naming: GgufNaming): GgufEntry {
  const program = { name: PROGRAM_NAME, version: programVersion() };
  return {
    key: RECORD_KEY,
    type: "string",
    value: JSON.stringify({ format: FORMAT, program, ...naming, ...made }),
  };
}

/** Null where there is none. Errors: `record-malformed`. */
export function readGgufRecord(metadata: readonly GgufEntry[], path: string): GgufRecord | null {
  const value = metadata.find(({ key }) => key === RECORD_KEY)?.value;
  if (value === undefined) return null;
  return checkRecord(recordSchema, parse(String(value)), path, `${RECORD_KEY} isn't`);
}

function parse(text: string): unknown {
  try {
    return parsePythonJson(text);
  } catch {
    return null;
  }
}
