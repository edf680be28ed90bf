/** The order of the rooms, read off the import lines: docs/architecture.md says why it is so. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, posix, relative, sep } from "node:path";
import { test } from "node:test";
import { projectPath } from "./support/fixture-path.js";

/** A file imports from its own room and from rooms to its right, never to its left. */
const ROOMS = [
  ...["cli", "index", "run-program"],
  ...["apply", "make", "compare", "verify", "inspect", "upload"],
  ...["merge", "base-check", "hub", "target", "formats", "llama", "workers", "kernel", "files"],
  ...["options", "progress", "interrupt", "limit", "nearest", "system-errors", "budget"],
  ...[
    "error-document",
    "errors",
    "error-codes",
    "error-text",
    "documents",
    "tensor",
    "printable",
    "units",
    "version",
  ],
];

/** What the command line may import: the library as any program has it, words for progress and errors. */
const COMMAND_LINE_IMPORTS = [
  "cli",
  "index",
  "system-errors",
  "error-document",
  "progress",
  "units",
  "errors",
  "nearest",
  "options",
  "printable",
  "version",
];

/** The rooms or files that alone may import a package. */
const ONLY_IMPORTERS: Readonly<Record<string, readonly string[]>> = {
  commander: ["cli"],
  "@huggingface/hub": ["hub/listing.ts", "hub/hub-file.ts", "upload/writer.ts"],
  undici: ["hub/session.ts"],
};

const MAX_LINES = 320;

interface SourceFile {
  /** From `src` on, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const SRC = projectPath("src");

const files: SourceFile[] = readdirSync(SRC, { recursive: true, withFileTypes: true })
  .filter((item) => item.isFile() && item.name.endsWith(".ts") && !item.name.endsWith(".d.ts"))
  .map((item) => {
    const path = relative(SRC, `${item.parentPath}${sep}${item.name}`).replaceAll(sep, "/");
    const text = readFileSync(`${SRC}/${path}`, "utf8");
    return { path, text, imports: importsOf(text) };
  })
  .sort((a, b) => (a.path < b.path ? -1 : 1));

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(?:^|\s)\/\/.*$/gm, "");
}

function withoutTypes(text: string): string {
  return text.replace(/^(?:import|export) type [^;]*;/gm, "");
}

/** What `import … from`, `export … from`, `import()`, `import.meta`-relative URLs and `require()` name. */
function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s(?:[^;"'=]*?\sfrom\s+)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']|\(\s*["'](@?[a-z][\w./-]*)["']\s*\)\s*as\s+typeof import/g;
  return [...code.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

/** `formats/open.ts` is of the room `formats`, `cli.ts` of the room `cli`. */
const roomOf = (path: string) =>
  path.includes("/") ? path.slice(0, path.indexOf("/")) : path.replace(/\.ts$/, "");

/** The file in `src` that a relative import leads to. */
function resolved(from: string, specifier: string): string {
  return posix.join(dirname(from), specifier).replace(/\.js$/, ".ts");
}

const relativeImports = (file: SourceFile) =>
  file.imports
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => resolved(file.path, specifier));

test("the reader of import lines sees every form", () => {
  const text = `
import "./a.js";
import type { B } from "./b.js";
import {
  c,
  type D,
} from './c.js';
export * from "./d.js";
export { e } from "./e.js";
const f = await import("./f.js");
const g = createRequire(import.meta.url)("g") as typeof import("g");
// import "./no.js";
/* import "./no.js"; */
export const text = "from './no.js'";
`;
  const found = importsOf(text);
  assert.deepEqual(found.slice(0, 6), ["./a.js", "./b.js", "./c.js", "./d.js", "./e.js", "./f.js"]);
  assert.deepEqual(new Set(found.slice(6)), new Set(["g"]));
});

test("there are files to look at, and every import leads to one", () => {
  const paths = new Set(files.map(({ path }) => path));
  assert.ok(paths.has("apply/apply-delta.ts") && paths.has("formats/open.ts"));
  for (const file of files.filter(({ path }) => !path.startsWith("kernel/assembly/"))) {
    for (const target of relativeImports(file))
      assert.ok(paths.has(target), `${file.path} imports ${target}`);
  }
});

test("every file is in a known room", () => {
  const rooms = new Set(files.map(({ path }) => roomOf(path)));
  assert.deepEqual(
    [...rooms].filter((room) => !ROOMS.includes(room)),
    [],
  );
});

test("imports go to the right only", () => {
  const wrong = files.flatMap((file) =>
    relativeImports(file)
      .filter((target) => ROOMS.indexOf(roomOf(target)) < ROOMS.indexOf(roomOf(file.path)))
      .map((target) => `${file.path} imports ${target}`),
  );
  assert.deepEqual(wrong, []);
});

/** What the command line may import of any room: the rules of options, and a room's results in words. */
const OPEN_TO_COMMAND_LINE = /\/(?:options|describe)\.ts$/;

test("the command line calls the library by its one entry; of the rooms below it takes types", () => {
  const wrong = files
    .filter(({ path }) => roomOf(path) === "cli")
    .flatMap((file) =>
      relativeImports({ ...file, imports: importsOf(withoutTypes(file.text)) })
        .filter((target) => !OPEN_TO_COMMAND_LINE.test(target))
        .filter((target) => !COMMAND_LINE_IMPORTS.includes(roomOf(target)))
        .map((target) => `${file.path} imports ${target}`),
    );
  assert.deepEqual(wrong, []);
});

test("a run loads no schema of a document: what isn't such a schema takes types from it", () => {
  const isDocuments = (path: string) => /(?:^|\/)(?:error-)?documents?\.ts$/.test(path);
  assert.ok(files.filter(({ path }) => isDocuments(path)).length > 8);
  const wrong = files
    .filter(({ path }) => !isDocuments(path))
    .flatMap((file) =>
      relativeImports({ ...file, imports: importsOf(withoutTypes(file.text)) })
        .filter(isDocuments)
        .map((target) => `${file.path} loads ${target}`),
    );
  assert.deepEqual(wrong, []);
});

test("a thread loads no package: each would take time and memory once more", () => {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const loadedBy = (path: string, seen = new Set<string>()): Set<string> => {
    if (seen.has(path)) return seen;
    seen.add(path);
    const file = byPath.get(path);
    const imports = file === undefined ? [] : importsOf(withoutTypes(file.text));
    for (const name of imports) loadedBy(name.startsWith(".") ? resolved(path, name) : name, seen);
    return seen;
  };
  const jobs = files.filter(({ text }) => /^export (?:async )?function runJob\(/m.test(text));
  assert.ok(jobs.length > 6);
  for (const { path } of jobs)
    assert.deepEqual(
      [...loadedBy(path)].filter((name) => !name.endsWith(".ts") && !name.startsWith("node:")),
      [],
      path,
    );
});

test("the bundle can be made: zod is a namespace, and no module says where it is by what holds it", () => {
  for (const { path, text } of files) {
    assert.doesNotMatch(text, /import (?:type )?\{[^}]*\} from "zod"/, path);
    assert.doesNotMatch(text, /module: import\.meta\.url/, path);
  }
});

test("no import leaves src", () => {
  const outside = files.flatMap((file) => relativeImports(file).filter((target) => target.startsWith("..")));
  assert.deepEqual(outside, []);
});

test("no file imports itself by way of others", () => {
  const importsByPath = new Map(files.map((file) => [file.path, relativeImports(file)]));
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]) => {
    assert.ok(!way.includes(path), `a cycle: ${[...way.slice(way.indexOf(path)), path].join(" -> ")}`);
    if (done.has(path)) return;
    for (const target of importsByPath.get(path) ?? []) visit(target, [...way, path]);
    done.add(path);
  };
  for (const path of importsByPath.keys()) visit(path, []);
});

test("some packages have few importers", () => {
  for (const { path, imports } of files) {
    for (const specifier of imports) {
      const only = ONLY_IMPORTERS[specifier];
      const isAllowed = only === undefined || only.includes(path) || only.includes(roomOf(path));
      assert.ok(isAllowed, `${path} imports ${specifier}`);
    }
  }
});

test("Node's own modules are imported by their full names, and no web is reached", () => {
  for (const { path, text, imports } of files) {
    assert.deepEqual(
      imports.filter((specifier) =>
        /^(?:fs|path|os|url|util|worker_threads|module|process|buffer)(?:\/|$)/.test(specifier),
      ),
      [],
      path,
    );
    const reaching = imports.filter((name) =>
      /^node:(?:https?|http2|net|tls|dgram|child_process)$/.test(name),
    );
    // It reads certificates, and connects nothing.
    const isCertificates = path === "hub/certificates.ts" && !/\bconnect\b/.test(text);
    assert.deepEqual(reaching, isCertificates ? ["node:tls"] : [], path);
    assert.ok(!/\bfetch\(/.test(text), `${path} fetches`);
  }
});

/** The places in the code of a file, comments left out, that match. */
const found = ({ text }: SourceFile, pattern: RegExp) => withoutComments(text).match(pattern) ?? [];

test("below the command line nothing prints, exits or listens for signals", () => {
  for (const file of files) {
    const isCommandLine = roomOf(file.path) === "cli";
    const anywhere = /\bconsole\.\w+|\bprocess\.(?:exit|abort)\(/g;
    const below = /\bprocess\.(?:exitCode|on|once|addListener|stdout|stderr|stdin|argv|env)\b/g;
    assert.deepEqual([...found(file, anywhere), ...(isCommandLine ? [] : found(file, below))], [], file.path);
  }
});

test("no code is made at run time, and no type is waved through", () => {
  for (const file of files) {
    assert.deepEqual(
      [...found(file, /\beval\(|new Function\(|from "node:vm"|\bas any\b|: any\b/g)],
      [],
      file.path,
    );
    assert.deepEqual(file.text.match(/@ts-(?:ignore|nocheck|expect-error)/g), null, file.path);
  }
});

test(`no file is longer than ${MAX_LINES} lines`, () => {
  const long = files.filter(({ text }) => text.split("\n").length - 1 > MAX_LINES).map(({ path }) => path);
  assert.deepEqual(long, []);
});
