/** What `inspect --json` prints. */
import * as z from "zod";
import { layerChangeSchema } from "../base-check/documents.js";
import { bytes, count, type DocumentType, dtype, extents, text, texts } from "../documents.js";
import { modelConfigSchema, recognitionSchema, tokenizerStateSchema } from "../llama/documents.js";
import { plannedShardSchema } from "../merge/documents.js";

export const inspectedTensorSchema = z.strictObject({
  name: text.describe("The tensor's name."),
  dtype: dtype.describe("The tensor's dtype."),
  shape: extents.describe("The tensor's shape; empty for a scalar."),
  bytes: bytes.describe("The tensor's size."),
  file: text.describe("Name of the file that holds the tensor."),
});

/** A tensor of a checkpoint. */
export type InspectedTensor = DocumentType<typeof inspectedTensorSchema>;

export const inspectedConfigSchema = z.strictObject({
  ...modelConfigSchema.shape,
  contextTokens: count.nullable().describe("Context length in tokens, scaling included; null if unknown."),
});

/** What config.json says of a model, and what follows from it. */
export type InspectedConfig = DocumentType<typeof inspectedConfigSchema>;

export const inspectedChangeSchema = z.strictObject({
  base: text.describe("Path of the base."),
  ...layerChangeSchema.shape,
});

/** How much a model changes its base. */
export type InspectedChange = DocumentType<typeof inspectedChangeSchema>;

export const inspectDocumentSchema = z
  .strictObject({
    model: text.describe("Path of the folder or file."),
    formats: texts.describe("The formats of the weights files, in words."),
    parameters: count.describe("Elements of all weights, without the buffers of position encodings."),
    bytes: bytes.describe("Size of the weights files."),
    dtypes: z
      .array(
        z.strictObject({
          dtype: dtype.describe("The dtype."),
          tensors: count.describe("Tensors of this dtype."),
          elements: count.describe("Elements of those tensors."),
          bytes: bytes.describe("Size of those tensors."),
        }),
      )
      .describe("The dtypes, and how much is stored in each."),
    shards: z.array(plannedShardSchema).describe("The weights files."),
    filter: text.nullable().describe("The filter for names; null if all tensors are listed."),
    tensorCount: count.describe("How many tensors there are, before the filter."),
    tensors: z
      .array(inspectedTensorSchema)
      .describe("The tensors that pass the filter, in state-dict order."),
    config: inspectedConfigSchema
      .nullable()
      .describe("What config.json says of the model; null if there is none."),
    tokenizer: tokenizerStateSchema.describe("The tokenizer's files, and whether they fit the model."),
    release: recognitionSchema.describe("Which release of Vicuna this is."),
    change: inspectedChangeSchema
      .nullable()
      .describe("How much the model changes the base; null without a base."),
    notes: texts.describe("What is odd about the files, a sentence each."),
  })
  .describe("What a checkpoint holds.");

/** What a checkpoint holds: what `inspect` prints with `--json`. */
export type InspectDocument = DocumentType<typeof inspectDocumentSchema>;
