/** What `compare --json` prints. */
import * as z from "zod";
import { count, type DocumentType, dtype, extents, flag, number, text, texts } from "../documents.js";

export const toleranceSchema = z.strictObject({
  absolute: number.describe("Largest absolute difference."),
  relative: number.describe("Largest relative difference."),
});

/** Elements count as equal if either of their differences is within these. */
export type Tolerance = DocumentType<typeof toleranceSchema>;

export const largestSchema = z.strictObject({
  difference: number.describe("|a - b|, or |a - b| / max(|a|, |b|)."),
  index: extents.describe("One index for each dimension."),
  a: number.describe("The value in a."),
  b: number.describe("The value in b."),
});

/** The largest difference of two tensors, and where it is. */
export type Largest = DocumentType<typeof largestSchema>;

export const tensorComparisonSchema = z.strictObject({
  name: text.describe("The tensor's name."),
  shape: extents.describe("The shape, the same in both models."),
  dtypes: z
    .strictObject({ a: dtype.describe("The dtype in a."), b: dtype.describe("The dtype in b.") })
    .describe("The dtype on each side."),
  elements: count.describe("Number of elements."),
  differentBits: count
    .nullable()
    .describe(
      "Elements whose bits differ, or bytes if an element is smaller than a byte; null if the dtypes differ.",
    ),
  differentValues: count
    .nullable()
    .describe(
      "Elements whose values differ: -0 equals 0, NaN equals NaN. Null unless the elements are floats.",
    ),
  beyondTolerance: count
    .nullable()
    .describe(
      "Elements whose values differ by more than the tolerance, or at all if there is no tolerance; null unless the elements are floats.",
    ),
  notFinite: count.describe(
    "Elements whose values differ and are NaN or infinite on one side; the largest differences leave them out.",
  ),
  first: extents
    .nullable()
    .describe(
      "Index of the first element that differs, in bits if the dtypes are equal, else in value; or null.",
    ),
  largestAbsolute: largestSchema.nullable().describe("The largest |a - b|; null if there is none."),
  largestRelative: largestSchema
    .nullable()
    .describe("The largest |a - b| / max(|a|, |b|); null if there is none."),
});

/** How a tensor of one model differs from that of the other. */
export type TensorComparison = DocumentType<typeof tensorComparisonSchema>;

export const differingTensorSchema = z.strictObject({
  ...tensorComparisonSchema.shape,
  isWithinTolerance: flag.describe(
    "Whether every element is within the tolerance; false if bits were compared.",
  ),
});

/** A tensor that isn't equal in every bit. */
export type DifferingTensor = DocumentType<typeof differingTensorSchema>;

export const fileKeySchema = z.strictObject({
  at: text.describe("The place in the file: `rope_scaling.factor`, `piece 17`."),
  a: text.nullable().describe("The value in a; null if a has none."),
  b: text.nullable().describe("The value in b; null if b has none."),
  isNote: flag.describe("Whether the difference is known to change nothing."),
});

/** A place in a file that differs. */
export type FileKey = DocumentType<typeof fileKeySchema>;

export const fileComparisonSchema = z.strictObject({
  file: text.describe("The file's name."),
  isDifferent: flag.describe("Whether the models may behave differently because of it."),
  onlyIn: z.enum(["a", "b"]).nullable().describe("The side that alone has the file; null if both have it."),
  differences: count.describe("How many keys differ, not counting notes."),
  notes: count.describe("How many keys differ in a way that is known to change nothing."),
  keys: z.array(fileKeySchema).describe("The keys that differ, at most the first 1000."),
});

/** How a file beside the weights differs. */
export type FileComparison = DocumentType<typeof fileComparisonSchema>;

/** Tensors of one name that can't be compared, with what differs. */
const unpaired = <Rule extends z.ZodType>(what: string, rule: Rule) =>
  z.array(
    z.strictObject({
      name: text.describe("The tensor's name."),
      a: rule.describe(`The ${what} in a.`),
      b: rule.describe(`The ${what} in b.`),
    }),
  );

export const comparisonSchema = z
  .strictObject({
    a: text.describe("The first model, as it was given."),
    b: text.describe("The second model, as it was given."),
    isEqual: flag.describe(
      "Whether the models are equal: every tensor, in every bit or within the tolerance, and every config and tokenizer file that was compared.",
    ),
    tolerance: toleranceSchema.nullable().describe("The tolerance; null if bits were compared."),
    tensors: z
      .strictObject({
        compared: count.describe("Tensors that were compared."),
        equalBits: count.describe("Tensors that are equal in every bit."),
        withinTolerance: count.describe("Tensors that differ in bits but are within the tolerance."),
        different: count.describe("Tensors that differ."),
      })
      .describe("Numbers of the tensors that both models have and that can be compared."),
    elements: count.describe("Elements of those tensors."),
    differing: z
      .array(differingTensorSchema)
      .describe("The tensors that aren't equal in every bit, the most different first."),
    onlyInA: texts.describe("Names of tensors that only a has."),
    onlyInB: texts.describe("Names of tensors that only b has."),
    otherShapes: unpaired("shape", extents).describe("Tensors whose shapes differ."),
    otherDTypes: unpaired("dtype", dtype).describe(
      "Tensors whose values can't be compared: one side has integers or floats of 8 bits or fewer, the other a different dtype.",
    ),
    files: z
      .array(fileComparisonSchema)
      .nullable()
      .describe("Config and tokenizer, file by file; null if they were left out."),
    notes: texts.describe("Facts worth knowing that aren't differences, a sentence each."),
    hints: texts.describe("Possible causes of the differences, a sentence each."),
    seconds: number.describe("Duration, from opening the models to the end."),
    threads: count.describe("Threads that did the work."),
  })
  .describe("How two models differ.");

/** How two models differ: what `compare` prints with `--json`. */
export type Comparison = DocumentType<typeof comparisonSchema>;
