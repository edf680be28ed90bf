/** docs/schemas/ is made from the schemas in src, and every field in it says what it means. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { renderSchemas, SCHEMAS_FOLDER } from "../../tools/schemas.js";

const rendered = renderSchemas();

test("docs/schemas is up to date: `npm run docs` makes it", () => {
  assert.deepEqual(readdirSync(SCHEMAS_FOLDER).sort(), Object.keys(rendered).sort());
  for (const [name, text] of Object.entries(rendered))
    assert.equal(readFileSync(new URL(name, SCHEMAS_FOLDER), "utf8"), text, `${name} is not up to date`);
});

/** Paths of the fields that have no description: `apply.json.tensors.added`. */
function undescribed(schema: unknown, at: string): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  const { properties = {} } = schema as { properties?: Record<string, { description?: string }> };
  const own = Object.entries(properties).filter(([, { description }]) => !description);
  return [
    ...own.map(([name]) => `${at}.${name}`),
    ...Object.entries(schema).flatMap(([key, child]) => undescribed(child, `${at}.${key}`)),
  ];
}

test("every document and every field of it has a description", () => {
  for (const [name, text] of Object.entries(rendered)) {
    const schema = JSON.parse(text) as { title?: string; description?: string };
    assert.ok(schema.title && schema.description, name);
    assert.deepEqual(undescribed(schema, name), []);
  }
});

test("a field without a description is found at any depth", () => {
  const inner = { properties: { b: { type: "string" } } };
  const schema = { properties: { a: { description: "said", anyOf: [{ items: inner }, { type: "null" }] } } };
  assert.deepEqual(undescribed(schema, "x"), ["x.properties.a.anyOf.0.items.b"]);
});
