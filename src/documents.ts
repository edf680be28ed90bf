/**
 * What the schemas of the `--json` documents have in common. Every room states its own results in its `documents.ts`,
 * once: types are inferred from the schemas, and `npm run docs` makes docs/schemas/ of them. A run only prints
 * results, so no run loads these files: import types from them, nothing else (test/architecture.test.ts).
 */
import * as z from "zod";
import { BLOCK_DTYPES, DTYPES, type DType, type SumDType, TORCH_NAMES } from "./tensor.js";

/** The type of what a schema describes. Results are read, never written. */
export type DocumentType<Schema extends z.ZodType> = DeepReadonly<z.infer<Schema>>;

type DeepReadonly<T> = { readonly [Key in keyof T]: DeepReadonly<T[Key]> };

export const text = z.string();
export const texts = z.array(text);
export const flag = z.boolean();
export const number = z.number();
export const count = z.int().nonnegative();
export const bytes = count;
/** The dimensions of a tensor, or one index for each of them. */
export const extents = z.array(count);
export const dtype = z.enum([...DTYPES, ...BLOCK_DTYPES] as [DType, ...DType[]]);
export const sumDType = z.enum(Object.keys(TORCH_NAMES) as [SumDType, ...SumDType[]]);

export const errorDetailsSchema = z.strictObject({
  file: z.exactOptional(text).describe("Path of the file with the error."),
  tensor: z.exactOptional(text).describe("Name of the tensor with the error."),
  offsetBytes: z.exactOptional(count).describe("Position in the file, in bytes."),
  expected: z.exactOptional(z.union([text, number])).describe("The value that was expected."),
  got: z.exactOptional(z.union([text, number])).describe("The value that was found."),
  hint: z.exactOptional(text).describe("What to do next, as a sentence."),
});

/** What is known of an error beside its code and message; absent if it isn't known. */
export type ReportedDetails = DocumentType<typeof errorDetailsSchema>;
