/**
 * Puts what is published into few files, with all packages: Node takes a millisecond of processor time to load a module,
 * and a merge has 300 of them. docs/decisions.md has the figures.
 */
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const SRC = fileURLToPath(new URL("../src/", import.meta.url));
const BUNDLE = fileURLToPath(new URL("../bundle/", import.meta.url));

/** Beside the jobs, what is loaded by its address: the command, the library, a thread's entry. */
const ENTRIES = ["cli/main.js", "index.js", "workers/worker.js"];

/** CommonJS packages ask for Node's own modules by it. */
const REQUIRE = `import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);`;

const jobs = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".js"))
  .map((path) => join(SRC, path))
  .filter((path) => /^export (?:async )?function runJob\(/m.test(readFileSync(path, "utf8")));

// An entry for each would cut what they share with the rest into twice as many files.
const allJobs = join(SRC, "jobs.js");
writeFileSync(
  allJobs,
  jobs.map((path) => `export { runJob as "${basename(path)}" } from ${JSON.stringify(path)};\n`).join(""),
);

rmSync(BUNDLE, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: [...ENTRIES.map((path) => join(SRC, path)), allJobs],
  outdir: BUNDLE,
  // In one folder: an address beside the module that names it is right here as it is in `src`.
  entryNames: "[name]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20.15",
  banner: { js: REQUIRE },
  sourcemap: true,
  metafile: true,
});
for (const name of jobs.map((path) => basename(path)))
  writeFileSync(join(BUNDLE, name), `export { "${name}" as runJob } from "./jobs.js";\n`);
copyFileSync(join(SRC, "kernel/simd.wasm"), join(BUNDLE, "simd.wasm"));

const inputs = Object.values(metafile.outputs).flatMap((output) => Object.keys(output.inputs));
const packages = new Set(inputs.flatMap((path) => /.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []));
const licenses = [...packages].map((path) => {
  const { name, license } = JSON.parse(readFileSync(`${path}/package.json`, "utf8"));
  const file = `${path}/LICENSE`;
  return `${name}: ${license}\n\n${existsSync(file) ? readFileSync(file, "utf8") : ""}`;
});
writeFileSync(join(BUNDLE, "LICENSES"), licenses.join("\n\n"));
