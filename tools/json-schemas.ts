/**
 * In: the zod types of the documents, and what the library's types say of each field. Out: a JSON Schema for each.
 * Guards: what a field means comes from its doc comment, so that it is written once. Further fields may come with a
 * later version, so the schemas let them through; the tests, which hold the output against the zod types, don't.
 */
import { z } from "zod";
import { DOCUMENTS } from "./documents.js";
import type { ApiExport, ApiField } from "./read-api.js";

/** As far as these schemas use it. */
interface JsonSchema {
  title?: string;
  description?: string;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
}

/** Texts of JSON files, by their names. */
export function renderSchemas(exports: readonly ApiExport[]): Record<string, string> {
  const byName = new Map(exports.map((each) => [each.name, each]));
  return Object.fromEntries(
    Object.entries(DOCUMENTS).map(([name, { schema, type, printedBy }]) => {
      const found = byName.get(type);
      if (found === undefined) throw new Error(`${type} isn't public`);
      const json = z.toJSONSchema(schema, {
        override: ({ jsonSchema }) => simplify(jsonSchema),
      }) as JsonSchema;
      describe(json, found.fields, byName);
      const { $schema, ...rest } = json as JsonSchema & { $schema: string };
      const title = `vicuna-apply-delta: ${printedBy}`;
      return [
        `${name}.json`,
        `${JSON.stringify({ $schema, title, description: found.doc, ...rest }, null, 2)}\n`,
      ];
    }),
  );
}

/** Lets further fields through, and leaves out that integers are those of JavaScript. */
function simplify(schema: { additionalProperties?: unknown; maximum?: number }): void {
  if (schema.additionalProperties === false) delete schema.additionalProperties;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
}

/** Gives every field the meaning that its doc comment has. */
function describe(
  schema: JsonSchema,
  fields: readonly ApiField[],
  byName: ReadonlyMap<string, ApiExport>,
): void {
  for (const each of [...(schema.anyOf ?? []), ...(schema.items === undefined ? [] : [schema.items])])
    describe(each, fields, byName);
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const field = fields.find((candidate) => candidate.name === name);
    if (field === undefined) throw new Error(`no field ${name}`);
    const own = /\b[A-Z]\w+\b/.exec(field.type)?.[0] ?? "";
    describe(property, field.fields.length > 0 ? field.fields : (byName.get(own)?.fields ?? []), byName);
    // First, where people look.
    const { ...rest } = property;
    for (const key of Object.keys(property)) delete property[key as keyof JsonSchema];
    Object.assign(property, { description: field.doc.replace(/\s*\n\s*/g, " ") }, rest);
  }
}
