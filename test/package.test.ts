/** The package as others install it: what it holds, what it needs, and nothing it doesn't. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { projectPath } from "./support/fixture-path.js";
import { temporaryFolder } from "./support/model-folder.js";

const manifest = JSON.parse(readFileSync(projectPath("package.json"), "utf8")) as {
  name: string;
  version: string;
  license: string;
  type: string;
  engines: { node: string };
  bin: Record<string, string>;
  exports: Record<string, string | { types: string; default: string }>;
  files: string[];
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};

/** The paths an export leads to, without `./`. */
function exportedPaths(name: string): string[] {
  const target = manifest.exports[name] ?? [];
  return (typeof target === "string" ? [target] : Object.values(target)).map((path) =>
    path.replace("./", ""),
  );
}

const modules = readdirSync(projectPath("src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => ({ path, text: readFileSync(projectPath(`src/${path}`), "utf8") }));
const source = modules.map(({ text }) => text).join("\n");

/** Whether a module is imported, by a statement, a call or `require`. */
const isImported = (name: string) =>
  new RegExp(`(?:from|import|import\\(|require\\(|\\)\\()\\s*["']${name}(?:/[^"']*)?["']`).test(source);

test("the command is there, executable, and starts Node", () => {
  assert.deepEqual(Object.keys(manifest.bin), [manifest.name]);
  for (const path of Object.values(manifest.bin)) {
    accessSync(projectPath(path), process.platform === "win32" ? constants.R_OK : constants.X_OK);
    assert.match(readFileSync(projectPath(path), "utf8"), /^#!\/usr\/bin\/env node\n/);
  }
});

/** Runs `bin/` as it is, under what it takes for another version of Node. */
function runBin(bin: string, version: string) {
  const versions = `({ ...process.versions, node: "${version}" })`;
  const pretend = `data:text/javascript,Object.defineProperty(process,"versions",{value:${encodeURIComponent(versions)}})`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", pretend, bin, "--version"], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test("a Node that can't run the tool is told so before anything is loaded", (context) => {
  const bin = projectPath(manifest.bin[manifest.name] ?? "");
  for (const version of ["18.20.8", "20.14.0", "21.7.3", "22.1.0"])
    assert.deepEqual(runBin(bin, version), {
      status: 2,
      stdout: "",
      stderr: `error: Node.js ${version} can't run vicuna-apply-delta.\n  what now: install Node.js 24 (https://nodejs.org). 22 from 22.2 on and 20 from 20.15 on work, too.\n`,
    });
  assert.deepEqual(runBin(bin, "26.1.0"), { status: 0, stdout: `${manifest.version}\n`, stderr: "" });
  const unbuilt = join(unbuiltClone(context), "bin/tool.js");
  for (const version of ["20.15.0", "22.2.0", "24.0.0"])
    assert.match(runBin(unbuilt, version).stderr, /^error: vicuna-apply-delta is not built/, version);
});

function unbuiltClone(context: TestContext): string {
  const root = realpathSync(temporaryFolder(context));
  mkdirSync(join(root, "bin"));
  writeFileSync(join(root, "package.json"), `{ "type": "module" }`);
  copyFileSync(projectPath("bin/vicuna-apply-delta.js"), join(root, "bin/tool.js"));
  return root;
}

test("a clone that isn't built says how to build it", (context) => {
  const root = unbuiltClone(context);
  const { status, stderr } = runBin(join(root, "bin/tool.js"), "22.2.0");
  assert.equal(status, 2);
  const now = `run \`npm ci\`, then \`npm run build\`, in ${join(root, "/")}`;
  assert.equal(stderr, `error: vicuna-apply-delta is not built.\n  what now: ${now}\n`);
});

test("a clone is built when it is installed or packed, from nothing that was there", () => {
  assert.equal(manifest.scripts.prepare, "node tools/prepare.js");
  assert.match(manifest.scripts.prepack ?? "", /\bclean\b/);
});

test("everything that is published is there, and what runs is in it", () => {
  const included = manifest.files.filter((path) => !path.startsWith("!"));
  for (const path of included) assert.ok(existsSync(projectPath(path)), path);
  const published = (path: string) =>
    manifest.files.some((root) => path === root || path.startsWith(`${root}/`));
  for (const path of Object.values(manifest.bin)) assert.ok(published(path), path);
  for (const path of exportedPaths(".")) assert.ok(published(path), path);
  assert.ok(published(exportedPaths("./schemas/*")[0] ?? ""));
  assert.ok(
    !manifest.files.some((path) => /^(?:dist|test|bench|src|dist\/test)\/?$/.test(path)),
    "no tests, no sources",
  );
});

test("the exports resolve to the program and its types", async () => {
  assert.deepEqual(Object.keys(manifest.exports), [".", "./schemas/*", "./package.json"]);
  for (const path of exportedPaths(".")) assert.ok(existsSync(projectPath(path)), path);
  // By its own name, as a dependent package would.
  const path = fileURLToPath(import.meta.resolve(manifest.name));
  assert.equal(path, projectPath("dist/bundle/index.js"));
  const module = (await import(manifest.name)) as Record<string, unknown>;
  assert.deepEqual(
    Object.keys(module).filter((name) => typeof module[name] === "function"),
    [
      "ApplyDeltaError",
      "applyDelta",
      "applyPart",
      "checkUpload",
      "compareModels",
      "finishParts",
      "inspectModel",
      "isApplyDeltaError",
      "listReleases",
      "makeDelta",
      "planDelta",
      "planMerge",
      "uploadModel",
      "verifyTarget",
    ],
  );
});

test("every job of a thread is in the bundle, under the name it has in the source", async () => {
  const jobs = modules.filter(({ text }) => /^export (?:async )?function runJob\(/m.test(text));
  assert.ok(jobs.length > 6);
  for (const { path } of jobs) {
    const address = pathToFileURL(projectPath(`dist/bundle/${basename(path).replace(/ts$/, "js")}`));
    assert.equal(typeof (await import(address.href)).runJob, "function", path);
  }
});

test("it is an ESM package for the Node it is tested on", () => {
  assert.equal(manifest.type, "module");
  assert.equal(manifest.engines.node, "^20.15.0 || >=22.2.0");
  assert.match(manifest.version, /^\d+\.\d+\.\d+(?:-[\w.]+)?$/);
  assert.equal(manifest.license, "Apache-2.0");
});

test("every dependency is imported, no development dependency is", () => {
  for (const name of Object.keys(manifest.dependencies)) assert.ok(isImported(name), `${name} is not used`);
  for (const name of Object.keys(manifest.devDependencies)) {
    assert.ok(!isImported(name), `${name} is used, but won't be installed`);
    assert.ok(!(name in manifest.dependencies), name);
  }
});

test("every package that is imported is a dependency", () => {
  const imported = [...source.matchAll(/\bfrom\s+"((?:@[\w-]+\/)?[a-z][\w.-]*)(?:\/[^"]*)?"/g)].map(
    (match) => match[1] ?? "",
  );
  const packages = new Set(imported.filter((name) => !name.startsWith("node")));
  for (const name of packages) assert.ok(name in manifest.dependencies, name);
  assert.ok(packages.size >= 3);
});

test("versions are pinned, so that every install is the one that was tested", () => {
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
  }
});

test("nothing runs on installing the package", () => {
  for (const name of ["preinstall", "install", "postinstall"]) assert.ok(!(name in manifest.scripts), name);
});
