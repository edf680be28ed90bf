/** Every link of the pages to a page or a file of the project leads somewhere, and every `#heading` to a heading. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { projectPath } from "../support/fixture-path.js";

const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(projectPath("docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

/** Text of a page without its blocks of code. */
const proseOf = (page: string) => readFileSync(projectPath(page), "utf8").replace(/^```[\s\S]*?^```$/gm, "");

/** As GitHub makes them of headings. */
function anchorsOf(page: string): Set<string> {
  const headings = [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) => title);
  return new Set(
    headings.map((title) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

for (const page of PAGES) {
  test(page, () => {
    for (const [, link = ""] of proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : normalize(join(dirname(page), path)).replaceAll("\\", "/");
      assert.ok(existsSync(projectPath(target)), `${link}: no such file`);
      if (anchor !== undefined) assert.ok(anchorsOf(target).has(anchor), `${link}: no such heading`);
    }
  });
}
