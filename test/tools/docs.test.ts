/** What is made from the sources is as they are, and every public name says what it is. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { undocumented } from "../../tools/api-page.js";
import { publicApi, renderDocs } from "../../tools/docs.js";
import { DOCUMENTS } from "../../tools/documents.js";
import { projectPath } from "../support/fixture-path.js";

const api = publicApi();

describe("the library's documentation", () => {
  test("is up to date: `npm run docs` makes it", () => {
    const rendered = renderDocs(api);
    for (const [path, text] of Object.entries(rendered)) {
      assert.equal(readFileSync(projectPath(path), "utf8"), text, `${path} is not up to date`);
    }
    assert.deepEqual(
      readdirSync(projectPath("docs/schemas"))
        .sort()
        .map((name) => `docs/schemas/${name}`),
      Object.keys(rendered)
        .filter((path) => path.startsWith("docs/schemas/"))
        .sort(),
    );
  });

  test("is the same whenever it is made", () => {
    assert.deepEqual(renderDocs(publicApi()), renderDocs(api));
  });

  test("every public name, option, field and error code says what it is", () => {
    assert.deepEqual(undocumented(api), []);
    const kinds = new Map(api.map(({ name, kind }) => [name, kind]));
    assert.deepEqual([kinds.get("applyDelta"), kinds.get("BaseCheck")], ["function", "type"]);
    assert.deepEqual([kinds.get("EXIT"), kinds.get("ApplyDeltaError")], ["constant", "class"]);
    const fieldsOf = (name: string) => api.find((each) => each.name === name)?.fields ?? [];
    assert.ok(fieldsOf("ApplyDeltaOptions").some(({ name }) => name === "onProgress"));
    assert.ok(fieldsOf("EXIT_OF").length > 50);
  });

  test("a name without a comment is found, in fields of fields, too", () => {
    const field = { type: "string", isOptional: false, fields: [] };
    const inner = [{ ...field, name: "b", doc: "" }];
    const fields = [{ ...field, name: "a", doc: "said", fields: inner }];
    assert.deepEqual(undocumented([{ name: "X", kind: "type", doc: "", text: "", fields }]), ["X", "X.a.b"]);
  });

  test("no type that a public one speaks of is left out", () => {
    const names = new Set(api.map(({ name }) => name));
    const known = new Set(["Partial", "Promise", "AbortSignal"]);
    const spoken = api.flatMap(({ fields, text }) =>
      [text, ...fields.map(({ type }) => type)].flatMap((type) => {
        const code = type.replace(/\/\*[\s\S]*?\*\/|"[^"]*"/g, "");
        return code.match(/\b[A-Z][a-z]\w*/g) ?? [];
      }),
    );
    // A type parameter, and what the source calls its own.
    const missing = spoken.filter((name) => !names.has(name) && !known.has(name) && name !== "Code");
    assert.deepEqual([...new Set(missing)], []);
  });

  test("every document has a schema, and every field of it a meaning", () => {
    for (const name of Object.keys(DOCUMENTS)) {
      const schema: unknown = JSON.parse(readFileSync(projectPath(`docs/schemas/${name}.json`), "utf8"));
      const look = (value: unknown, at: string): void => {
        if (typeof value !== "object" || value === null) return;
        const { properties } = value as { properties?: Record<string, { description?: string }> };
        for (const [key, property] of Object.entries(properties ?? {}))
          assert.ok(property.description, `${name}: ${at}.${key} has no description`);
        for (const [key, child] of Object.entries(value)) look(child, `${at}.${key}`);
      };
      look(schema, "");
    }
  });
});
