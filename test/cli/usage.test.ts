/** What wrong usage gets. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { temporaryFolder } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const THREE = ["--base", "b", "--delta", "d", "--target", "t"];
const WRONG_USAGE: readonly { args: readonly string[]; says: string }[] = [
  { args: [], says: "missing --base, --delta and --target" },
  { args: ["--base", "b"], says: "missing --delta and --target" },
  { args: ["--bas", "b"], says: "unknown option '--bas'\n(Did you mean --base?)" },
  { args: ["--base"], says: "argument missing" },
  { args: ["--base", "b", "--delta", "d", "--target", ""], says: "is a variable of the shell not set?" },
  { args: ["--base=", "--delta", "d", "--target", "t"], says: "is a variable of the shell not set?" },
  { args: [...THREE, "and", "more"], says: "too many arguments" },
  { args: [...THREE, "--dtype", "int8"], says: "Allowed choices are auto, float16, bfloat16, float32." },
  { args: [...THREE, "--kernel", "cuda"], says: "Allowed choices are auto, simd, reference." },
  { args: [...THREE, "--new-rows", "some"], says: "Allowed choices are" },
  { args: [...THREE, "--threads", "0"], says: "whole number from 1 to 256" },
  { args: [...THREE, "--threads", "1.5"], says: "whole number from 1 to 256" },
  { args: [...THREE, "--threads", "many"], says: "whole number from 1 to 256" },
  { args: [...THREE, "--format", "pt"], says: "Allowed choices are safetensors, bin." },
  { args: [...THREE, "--max-shard-size", "0"], says: "such as 5GB, 500MB or 2GiB" },
  { args: [...THREE, "--max-shard-size", "5XB"], says: "such as 5GB, 500MB or 2GiB" },
  { args: [...THREE, "--max-shard-size", "-5GB"], says: "such as 5GB, 500MB or 2GiB" },
];

describe("wrong usage", { concurrency: 3 }, () => {
  for (const { args, says } of WRONG_USAGE) {
    test(`${args.join(" ") || "nothing"}: exit 2`, async (context) => {
      const cwd = temporaryFolder(context);
      const { code, stdout, stderr } = await runCli(args, { cwd });
      assert.equal(code, 2);
      assert.equal(stdout, "");
      assert.ok(stderr.startsWith("error: ") && stderr.includes(says), stderr);
      assert.ok(stderr.endsWith("(vicuna-apply-delta --help lists the options)\n"), stderr);
      assert.deepEqual(readdirSync(cwd), []);
    });
  }

  test("a command's own options are in its own help", async () => {
    const { code, stderr } = await runCli(["compare", "a", "b", "--bad"]);
    assert.equal(code, 2);
    assert.ok(stderr.endsWith("(vicuna-apply-delta compare --help lists the options)\n"), stderr);
  });

  test("with --json it is a document on stdout as well", async () => {
    const { code, stdout, stderr } = await runCli(["--json", "--base", "b", "--threads", "x"]);
    assert.equal(code, 2);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    assert.equal(error.code, "bad-usage");
    assert.ok(stderr.includes(error.message));
  });
});
