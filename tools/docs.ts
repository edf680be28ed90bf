/**
 * In: the sources. Out: every file that is made from them, by its path in the project. `node dist/tools/docs.js`
 * writes them; a test compares.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { renderApi } from "./api-page.js";
import { renderSchemas } from "./json-schemas.js";
import { type ApiExport, readApi } from "./read-api.js";

const PROJECT = fileURLToPath(new URL("../../", import.meta.url)).replace(/[/\\]$/, "");

/** The library's public names. */
export function publicApi(): ApiExport[] {
  return readApi(PROJECT, join(PROJECT, "src", "index.ts"));
}

/** The text of each file. */
export function renderDocs(api: readonly ApiExport[]): Record<string, string> {
  const schemas = Object.entries(renderSchemas(api)).map(([name, text]) => [`docs/schemas/${name}`, text]);
  return { "docs/api.md": renderApi(api), ...Object.fromEntries(schemas) };
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(renderDocs(publicApi()))) {
    mkdirSync(join(PROJECT, dirname(path)), { recursive: true });
    writeFileSync(join(PROJECT, path), text);
    console.log(path);
  }
}
