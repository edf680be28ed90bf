/** Commits to a branch, pull requests, and what the Hub looks at before and after the bytes. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sha256 } from "../support/hub-server.js";
import { refusal } from "../support/refusal.js";
import { DESTINATION, localFiles, sortedFiles, uploadRun } from "../support/upload-run.js";

const EMPTY = { files: { ".gitattributes": Buffer.from("x") } };
const OTHERS = "other/model";

test("a branch that exists gets the commit, one that doesn't is an error", async (context) => {
  const run = await uploadRun(context, { [DESTINATION]: { ...EMPTY, branches: ["v2"] } });
  await run.upload({ revision: "v2" });
  assert.deepEqual(sortedFiles(run.there()), localFiles(run.folder));
  assert.ok(run.hub.requests.some(({ url }) => url.endsWith(`/commit/v2`)));
  await refusal(() => run.upload({ revision: "v3" }), "revision-not-found", { hint: /--revision/ });
});

test("a new repository has neither a branch nor anybody to propose to", async (context) => {
  const run = await uploadRun(context);
  await refusal(() => run.upload({ revision: "v2" }), "bad-usage", { got: "--revision v2" });
  await refusal(() => run.upload({ createPr: true }), "bad-usage", { got: "--create-pr" });
  assert.equal(run.puts().length, 0);
});

test("a pull request goes to anybody's repository and replaces nothing", async (context) => {
  const files = { ".gitattributes": Buffer.from("x"), "model.safetensors": Buffer.alloc(9000, 1) };
  const run = await uploadRun(context, { [OTHERS]: { files } });
  const { pullRequest } = await run.upload({ repository: OTHERS, createPr: true });
  assert.equal(pullRequest, `${run.hub.url}/${OTHERS}/discussions/1`);
  assert.deepEqual(run.hub.repositories[OTHERS]?.files, files);
});

test("the storage is told of each large file once it has arrived, before the commit", async (context) => {
  const run = await uploadRun(context, { [DESTINATION]: EMPTY });
  run.hub.uploads.wantsVerification = true;
  await run.upload();
  const large = Object.values(run.there()).filter(({ length }) => length > 4096);
  assert.deepEqual([...run.hub.uploads.verified].sort(), large.map(sha256).sort());
  const order = run.hub.requests.map(({ url }) => url);
  assert.ok(order.lastIndexOf("/verify") < order.findIndex((url) => url.includes("/commit/")));
});

test("a card that the Hub refuses is refused before a byte is sent", async (context) => {
  const run = await uploadRun(context, { [DESTINATION]: EMPTY });
  writeFileSync(join(run.folder, "README.md"), "---\nlicense: 7\n---\n");
  run.hub.uploads.cardError = '"license" must be one of [apache-2.0, …]';
  await refusal(() => run.upload(), "upload-failed", {
    message: /metadata of README\.md/,
    file: join(run.folder, "README.md"),
    got: /must be one of/,
  });
  assert.equal(run.puts().length, 0);
  run.hub.uploads.cardError = null;
  await run.upload();
});
