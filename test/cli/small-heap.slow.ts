/** Small runs end: of 100 in processes of their own, Node 20 hung in 3, and in 9 where WebAssembly has no memory. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { EXIT } from "../../src/errors.js";
import { createLimit } from "../../src/limit.js";
import { temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const RUNS = 60;
const AT_ONCE = 4;

/** Words to run the command under; see test/faults/real-limits.ts. */
const SURROUNDINGS = {
  "as they are": [],
  "without memory for WebAssembly": ["bash", "-c", `ulimit -v 4000000 && exec "$0" "$@"`],
};

for (const [name, under] of Object.entries(SURROUNDINGS)) {
  const skip = under.length > 0 && process.platform !== "linux" && "needs ulimit -v";
  test(`${RUNS} small comparisons end, ${AT_ONCE} at a time, ${name}`, { skip }, async (context) => {
    const folder = temporaryFolder(context);
    const { base, delta } = tinyPair();
    const words = [
      "compare",
      writeModel(join(folder, "base"), base),
      writeModel(join(folder, "delta"), delta),
    ];
    const limit = createLimit(AT_ONCE);
    const runs = Array.from({ length: RUNS }, () => limit.run(() => runCli(words, { under })));
    for (const { code, signal } of await Promise.all(runs)) {
      assert.equal(signal, null);
      assert.equal(code, EXIT.verification);
    }
  });
}
