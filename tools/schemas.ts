/** `npm run docs` writes docs/schemas/: the JSON Schema of each document that a command prints with `--json`. */
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { applyDocumentSchema, mergePlanSchema, partDocumentSchema } from "../src/apply/documents.js";
import { comparisonSchema } from "../src/compare/documents.js";
import { errorDocumentSchema } from "../src/error-document.js";
import { inspectDocumentSchema } from "../src/inspect/documents.js";
import { weightsDocumentSchema } from "../src/llama/documents.js";
import { deltaPlanSchema, makeDocumentSchema } from "../src/make/documents.js";
import { uploadSummarySchema } from "../src/upload/documents.js";
import { verificationSchema } from "../src/verify/documents.js";

/** By file name, without its ending. */
export const DOCUMENTS: Readonly<Record<string, { readonly printedBy: string; readonly schema: z.ZodType }>> =
  {
    apply: { printedBy: "--base … --delta … --target … --json", schema: applyDocumentSchema },
    "apply-plan": { printedBy: "… --dry-run --json", schema: mergePlanSchema },
    part: { printedBy: "--part … --json, or finish … --json", schema: partDocumentSchema },
    make: { printedBy: "make … --json", schema: makeDocumentSchema },
    "make-plan": { printedBy: "make … --dry-run --json", schema: deltaPlanSchema },
    compare: { printedBy: "compare … --json", schema: comparisonSchema },
    inspect: { printedBy: "inspect … --json", schema: inspectDocumentSchema },
    verify: { printedBy: "verify … --json", schema: verificationSchema },
    upload: { printedBy: "upload … --json", schema: uploadSummarySchema },
    weights: { printedBy: "weights --json", schema: weightsDocumentSchema },
    error: { printedBy: "any command with --json that fails", schema: errorDocumentSchema },
  };

export const SCHEMAS_FOLDER = new URL("../../docs/schemas/", import.meta.url);

/** The text of each file, by its name. */
export function renderSchemas(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(DOCUMENTS).map(([name, { printedBy, schema }]) => {
      const { $schema, ...rest } = z.toJSONSchema(schema, {
        override: ({ jsonSchema }) => publish(jsonSchema),
      });
      const document = { $schema, title: `vicuna-apply-delta: ${printedBy}`, ...rest };
      return [`${name}.json`, `${JSON.stringify(document, null, 2)}\n`];
    }),
  );
}

/**
 * Makes a schema fit for others: it allows further fields, since a later version may print more, leaves out
 * JavaScript's limit of integers, and gives the description first.
 */
function publish(schema: z.core.JSONSchema.BaseSchema): void {
  const { description, additionalProperties: _, maximum, ...rest } = schema;
  for (const key of Object.keys(schema)) delete schema[key];
  if (description !== undefined) schema.description = description;
  Object.assign(schema, rest);
  if (maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER) schema.maximum = maximum;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of readdirSync(SCHEMAS_FOLDER)) rmSync(new URL(name, SCHEMAS_FOLDER));
  for (const [name, text] of Object.entries(renderSchemas()))
    writeFileSync(new URL(name, SCHEMAS_FOLDER), text);
}
