/**
 * Puts what is published into few files, with the packages that every run needs: Node takes a millisecond of processor
 * time to load a module, and a merge has 300 of them. docs/decisions.md has the figures.
 */
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const SRC = fileURLToPath(new URL("../src/", import.meta.url));
const BUNDLE = fileURLToPath(new URL("../bundle/", import.meta.url));

/** Only what is on the Hub needs them; each is one file already, or loads what it needs by itself. */
const LEFT_OUT = ["@huggingface/hub", "undici"];

/** CommonJS packages ask for Node's own modules by it. */
const REQUIRE = `import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);`;

/** What is loaded by its address: the program, the library, threads and their jobs. */
const entries = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".js"))
  .map((path) => join(SRC, path))
  .filter(
    (path) =>
      [join(SRC, "cli/main.js"), join(SRC, "index.js"), join(SRC, "workers/worker.js")].includes(path) ||
      /^export (?:async )?function runJob\(/m.test(readFileSync(path, "utf8")),
  );

rmSync(BUNDLE, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: entries,
  outdir: BUNDLE,
  // In one folder: an address beside the module that names it is right here as it is in `src`.
  entryNames: "[name]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20.15",
  external: LEFT_OUT,
  banner: { js: REQUIRE },
  sourcemap: true,
  metafile: true,
});
copyFileSync(join(SRC, "kernel/simd.wasm"), join(BUNDLE, "simd.wasm"));

const bundled = Object.keys(metafile.inputs).flatMap(
  (path) => /.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? [],
);
const licenses = [...new Set(bundled)].map(
  (path) => `${basename(path)}\n\n${readFileSync(`${path}/LICENSE`, "utf8")}`,
);
writeFileSync(join(BUNDLE, "LICENSES"), licenses.join("\n\n"));
