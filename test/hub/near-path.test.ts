import assert from "node:assert/strict";
import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nearPath } from "../../src/hub/near-path.js";
import { temporaryFolder } from "../support/model-folder.js";

test("what was meant by a path: one wrong name on the way, in the words it was given in", (context) => {
  const root = realpathSync(temporaryFolder(context));
  for (const name of ["llama-7b", "llama-13b", "models/vicuna-7b"])
    mkdirSync(join(root, name), { recursive: true });
  const before = process.cwd();
  context.after(() => process.chdir(before));
  process.chdir(root);
  for (const [given, meant, folder] of [
    ["lama-7b", "llama-7b", root],
    ["./llama7b/", "llama-7b", root],
    [join(root, "lama-7b"), join(root, "llama-7b"), root],
    ["modles/vicuna-7b", "models/vicuna-7b", root],
    ["models/vicunia-7b", "models/vicuna-7b", join(root, "models")],
    ["modles/vicuna-13b", null, root],
    ["alpaca", null, root],
    ["/nowhere/at/all", null, "/"],
  ] as const)
    assert.deepEqual(nearPath(given), { folder, meant }, given);
});
