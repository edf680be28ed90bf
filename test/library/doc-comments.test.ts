/** What an editor shows of the library: every public name, and every error code, has a doc comment in the types. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const typesOf = (path: string) =>
  readFileSync(new URL(`../../src/${path.replace(/\.js$/, ".d.ts")}`, import.meta.url), "utf8");

const INDEX = typesOf("index.js");

/** Public names by the file that declares them. */
const DECLARED_IN = [...INDEX.matchAll(/^export (?:type )?\{([^}]*)\} from "\.\/([^"]*)";$/gm)].flatMap(
  ([, names = "", path = ""]) =>
    names.split(",").map((name) => ({ name: name.replace(/\btype\b/, "").trim(), path })),
);
const DECLARED_HERE = [...INDEX.matchAll(/^export (?:declare )?(?:type|interface|function) (\w+)/gm)].map(
  ([, name = ""]) => ({ name, path: "index.js" }),
);

test("every public name has a doc comment", () => {
  const names = [...DECLARED_IN, ...DECLARED_HERE];
  assert.ok(names.length > 60);
  const without = names.filter(({ name, path }) => {
    const declaration = `^export (?:declare )?(?:const|class|function|interface|type) ${name}\\b`;
    return !new RegExp(`\\*/\\n${declaration}`, "m").test(typesOf(path));
  });
  assert.deepEqual(without, []);
});

test("every error code has a doc comment", () => {
  const [, table = ""] =
    /^export declare const EXIT_OF: \{\n([\s\S]*?)^\};$/m.exec(typesOf("error-codes.js")) ?? [];
  const codes = table.match(/^ +readonly .*$/gm) ?? [];
  assert.ok(codes.length > 50);
  const described = table.match(/\*\/\n +readonly .*$/gm) ?? [];
  assert.equal(described.length, codes.length);
});
