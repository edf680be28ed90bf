#!/usr/bin/env node
// Any Node.js since 14.13 reads this file. Only one that can run the rest imports it.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Says why the tool can't begin, as its own errors are said. */
function refuse(headline, hint, exitCode = 2) {
  process.stderr.write(`error: ${headline}\n  what now: ${hint}\n`);
  process.exitCode = exitCode;
}

/** Loads the command line. Its modules are read all at once, which a low limit of open files doesn't allow. */
async function load() {
  try {
    return await import(main.href);
  } catch (error) {
    if (error.code !== "EMFILE" && error.code !== "ENFILE") throw error;
    refuse(
      `vicuna-apply-delta can't open the files it needs (${error.code}).`,
      "raise the limit with `ulimit -n 4096`",
      3,
    );
    return null;
  }
}

const [major, minor] = process.versions.node.split(".").map(Number);
const main = new URL("../dist/bundle/main.js", import.meta.url);

// "engines" in package.json: zlib.crc32 came with 20.15 and 22.2, and 21 never had it.
if (!(major > 22 || (major === 22 && minor >= 2) || (major === 20 && minor >= 15)))
  refuse(
    `Node.js ${process.versions.node} can't run vicuna-apply-delta.`,
    "install Node.js 24 (https://nodejs.org). 22 from 22.2 on and 20 from 20.15 on work, too.",
  );
else if (!existsSync(main))
  refuse(
    "vicuna-apply-delta is not built.",
    `run \`npm ci\`, then \`npm run build\`, in ${fileURLToPath(new URL("..", import.meta.url))}`,
  );
else await (await load())?.main(process.argv);
