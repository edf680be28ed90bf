/** What wrong usage gets: a headline that names the word, and what to write instead. Nothing is read or made. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createCommand } from "../../src/cli/commands.js";
import { runWords } from "../../src/cli/main.js";
import { parsePath, parseSize } from "../../src/cli/values.js";
import { isApplyDeltaError } from "../../src/errors.js";
import { temporaryFolder } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const THREE = "--base b --delta d --target t";

/** What is typed, the headline, and what to do. */
const WRONG: readonly (readonly [typed: string, headline: string, hint: RegExp])[] = [
  ["verfy out", "Unknown command: verfy.", /^Did you mean verify\?$/],
  ["help mak", "Unknown command: mak.", /^Did you mean make\?$/],
  ["foo", "Unknown command: foo.", /^The commands are apply, make, /],
  [
    "--json compare a b",
    "Unexpected word: compare.",
    /^Put the command first: vicuna-apply-delta compare …$/,
  ],
  ["--base b", "Missing --delta and --target.", /--base <model> --delta <model> --target <folder>/],
  ["make --base b", "Missing --tuned and --delta.", /^Write vicuna-apply-delta make --base <model> --tuned/],
  ["compare a", "Missing <b>.", /^Write vicuna-apply-delta compare <a> <b> \[options\]\.$/],
  ["verify", "Missing <target>.", /^Write vicuna-apply-delta verify <target>/],
  ["verify a b", "Unexpected word: b.", /verify --help/],
  ["out", "Unknown command: out.", /^The commands are /],
  ["download more", "Unknown command: download.", /^The commands are /],
  ["a-b more", "Unexpected word: a-b.", /--help` shows the usage/],
  [`foo ${THREE}`, "Unknown command: foo.", /^The commands are /],
  [`merge ${THREE}`, "Unknown command: merge.", /^Did you mean apply\?$/],
  ["make_delta --base b", "Unknown command: make_delta.", /^Did you mean make\?$/],
  ["diff llama delta", "Unknown command: diff.", /^Did you mean compare\?$/],
  ["weights all", "Unexpected word: all.", /weights --help/],

  ["--bas b", "Unknown option --bas.", /^Did you mean --base, --base-only or --base-revision\?$/],
  ["--delat b", "Unknown option --delat.", /^Did you mean --delta\?$/],
  ["--max-shard 5GB", "Unknown option --max-shard.", /^Did you mean --max-shard-size\?$/],
  ["--Base b", "Unknown option --Base.", /^Did you mean --base\?$/],
  ["-base b", "Unknown option -base.", /^Did you mean --base\?$/],
  ["-B b", "Unknown option -B.", /^Did you mean -b\?$/],
  ["-bllama", "Unknown option -bllama.", /^Did you mean -b llama\?$/],
  ["verify t -v", "Unknown option -v.", /^Did you mean --verbose\?$/],
  ["compare a b --bad", "Unknown option --bad.", /^Write .* compare <a> <b> \[options\]; --help lists/],
  ["verify --target t", "Unknown option --target.", /^Write .* verify <target> \[options\]; --help lists/],
  ["--output t", "Unknown option --output.", /^Did you mean --target\?$/],
  ["--out_path t", "Unknown option --out_path.", /^Did you mean --target\?$/],
  ["--out-shard-size 2GB", "Unknown option --out-shard-size.", /^Did you mean --max-shard-size\?$/],
  ["--path_raw b", "Unknown option --path_raw.", /^Did you mean --base\?$/],
  ["make --output d", "Unknown option --output.", /^Did you mean --delta\?$/],
  ["make -o d", "Unknown option -o.", /^Did you mean --delta\?$/],
  ["make --model m", "Unknown option --model.", /^Did you mean --base or --tuned\?$/],
  ["--target-dir t", "Unknown option --target-dir.", /^Did you mean --target\?$/],
  ["--hf-token t", "Unknown option --hf-token.", /^Did you mean --token\?$/],
  ["--shard-size 2GB", "Unknown option --shard-size.", /^Did you mean --max-shard-size\?$/],
  ["--revision r", "Unknown option --revision.", /^Did you mean --base-revision or --delta-revision\?$/],
  ["--fp16", "Unknown option --fp16.", /^Did you mean --dtype fp16\?$/],
  ["--gguf", "Unknown option --gguf.", /^Did you mean --format gguf\?$/],
  ["--device cpu", "Unknown option --device.", /^`vicuna-apply-delta --help` lists the options\.$/],
  ["--no-verify", "Unknown option --no-verify.", /^Leave it out: that is so unless --verify is given\.$/],
  ["--progress", "Unknown option --progress.", /^Leave it out: .* unless --no-progress is given\.$/],

  ["-b x --base y -o t", "-b and --base are one option: x and y.", /^Did you mean --delta y\?$/],
  [`${THREE} --dtype fp16 --dtype=bf16`, "--dtype is given twice: fp16 and bf16.", /^Give --dtype once\.$/],
  [`${THREE} --chat-template v0 --chat-template v0`, "--chat-template is given twice: v0 and v0.", /once/],
  [`${THREE} --verbose=true`, "--verbose takes no value.", /^Write --verbose alone\.$/],
  [`${THREE} --overwrite yes`, "Unexpected word: yes.", /^Leave it out: --overwrite takes no value\.$/],

  [
    "--base b --delta --target t",
    "--delta needs a value; what follows is another option, --target.",
    /^Write --delta <model>\.$/,
  ],
  ["--base b --delta d --target", "--target needs a value.", /^Write --target <folder>\.$/],
  ["-b b -d -o t", "-d needs a value; what follows is another option, -o.", /^Write -d <model>\.$/],
  ["--base b --delta d --target=", "--target is empty.", /^Is a variable of the shell not set\?$/],
  ["compare a  b", "An argument is empty.", /^Is a variable of the shell not set\?$/],

  ["llama delta out", "Unexpected word: llama.", /^Name them: --base llama --delta delta --target out$/],
  ["--base llama delta --target out", "Unexpected word: delta.", /^Name it: --delta delta$/],
  [
    "--base my models/llama -d d -o t",
    "Unexpected word: models/llama.",
    /quotes .*: --base "my models\/llama"$/,
  ],
  ["base=b delta=d target=t", "Unexpected word: base=b.", /^Write two hyphens: --base=b$/],
  ["—base b -d d -o t", "Unexpected word: —base.", /^Write two hyphens: --base$/],
  ["-b b -d d -o t –-verify", "Unexpected word: –-verify.", /^Write two hyphens: --verify$/],
  ["-b b -d d -o my out", "Unexpected word: out.", /quotes .*: -o "my out"$/],
  ["-b llama/a.bin llama/b.bin -d d -o t", "Unexpected word: llama/b.bin.", /not its files: -b llama$/],
  ["verify llama/a.bin llama/b.bin", "Unexpected word: llama/b.bin.", /not its files: llama$/],

  [
    `${THREE} --dtype int8`,
    'Invalid --dtype: "int8".',
    /^Use auto, float16, bfloat16, float32, q8_0 or q4_0\.$/,
  ],
  [`${THREE} --kernel cuda`, 'Invalid --kernel: "cuda".', /^Use auto, simd or reference\.$/],
  [`${THREE} --new-rows some`, 'Invalid --new-rows: "some".', /^Use zero, mean or error\.$/],
  [`${THREE} --threads 0`, 'Invalid --threads: "0".', /a whole number from 1 to 256/],
  [`${THREE} --threads 1.5`, 'Invalid --threads: "1.5".', /a whole number from 1 to 256/],
  [`${THREE} --threads many`, 'Invalid --threads: "many".', /a whole number from 1 to 256/],
  [`${THREE} --format pt`, 'Invalid --format: "pt".', /safetensors/],
  [`${THREE} --max-shard-size 5`, "Invalid --max-shard-size: 5 has no unit.", /^Did you mean 5GB\?$/],
  [`${THREE} --max-shard-size 700`, "Invalid --max-shard-size: 700 has no unit.", /^Did you mean 700MB\?$/],
  [
    `${THREE} --max-shard-size 5000000`,
    "Invalid --max-shard-size: 5000000 has no unit.",
    /^Did you mean 5000000B\?$/,
  ],
  [`${THREE} --max-shard-size 0`, 'Invalid --max-shard-size: "0".', /such as 5GB, 500MB or 2GiB/],
  [`${THREE} --max-shard-size 5XB`, 'Invalid --max-shard-size: "5XB".', /such as 5GB, 500MB or 2GiB/],
  [`${THREE} --max-shard-size -5GB`, 'Invalid --max-shard-size: "-5GB".', /such as 5GB, 500MB or 2GiB/],
  [`${THREE} --max-shard-size 0GB`, 'Invalid --max-shard-size: "0GB".', /such as 5GB, 500MB or 2GiB/],
  [`${THREE} --scale 0`, 'Invalid --scale: "0".', /a number other than 0/],
];

test("wrong usage", async (context) => {
  const folder = temporaryFolder(context);
  const home = process.cwd();
  context.after(() => process.chdir(home));
  process.chdir(folder);
  for (const name of ["llama", "delta", "my models/llama"]) mkdirSync(name, { recursive: true });
  for (const name of ["llama/a.bin", "llama/b.bin"]) writeFileSync(name, "");
  const before = readdirSync(folder);
  for (const [typed, headline, hint] of WRONG) {
    await context.test(typed, async () => {
      await assert.rejects(runWords(typed.split(" ")), (error: unknown) => {
        assert.ok(isApplyDeltaError(error, "bad-usage"), String(error));
        assert.equal(error.message, headline);
        assert.match(error.details.hint ?? "", hint);
        return true;
      });
      assert.deepEqual(readdirSync(folder), before);
    });
  }
});

describe("what is understood", () => {
  /** The options that are read of words, by their names. */
  async function read(...words: string[]): Promise<Record<string, unknown>> {
    const command = await createCommand("apply");
    command.action(() => {});
    const { readWords } = await import("../../src/cli/words.js");
    await command.parseAsync([...readWords(command, words).words], { from: "user" });
    return command.opts();
  }

  test("short names, FastChat's names and _ for - give the same options", async () => {
    const wanted = { base: "b", delta: "d", target: "t" };
    for (const words of [
      ["--base", "b", "--delta", "d", "--target", "t"],
      ["-b", "b", "-d", "d", "-o", "t"],
      ["-b=b", "-d=d", "-o=t"],
      ["--base-model-path=b", "--delta-path=d", "--target-model-path=t"],
      ["--base_model_path", "b", "--delta_path", "d", "--target_model_path", "t"],
    ]) {
      const { base, delta, target } = await read(...words);
      assert.deepEqual({ base, delta, target }, wanted);
    }
  });

  test("dtypes by every usual name", async () => {
    const names = {
      F16: ["float16", "fp16", "FP16", "half"],
      BF16: ["bfloat16", "bf16"],
      F32: ["float32", "fp32"],
    };
    for (const [dtype, words] of Object.entries(names))
      for (const word of words) assert.equal((await read("--dtype", word)).dtype, dtype, word);
  });

  test("a negative number is a value, and so is a word behind =", async () => {
    assert.equal((await read("--scale", "-0.5")).scale, -0.5);
    assert.equal((await read("--message=--private", "--upload", "a/b"))["upload.message"], "--private");
  });

  test("~ is the home folder in every option that takes a path, and in no other", async () => {
    const paths = ["base", "delta", "target"];
    const options = await read(
      ...paths.flatMap((name) => [`--${name}=~/x`]),
      "--cache-dir=~",
      "--message=~/x",
    );
    for (const name of paths) assert.equal(options[name], join(homedir(), "x"));
    assert.equal(options["hub.cacheFolder"], join(homedir()));
    assert.equal(options["upload.message"], "~/x");
    assert.equal(parsePath("~user/x"), "~user/x");
    assert.equal(parsePath("./~/x"), "./~/x");
  });

  test("sizes", () => {
    const sizes = {
      "5GB": 5e9,
      "1.5GiB": 1.5 * 2 ** 30,
      "500 mb": 5e8,
      "7B": 7,
      "5": null,
      "": null,
      GB: null,
    };
    for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseSize(text), bytes, text);
  });
});

test("wrong usage ends with exit 2; with --json it is a document on stdout as well", async (context) => {
  const cwd = temporaryFolder(context);
  const { code, stdout, stderr } = await runCli(["--json", "--base", "b", "--threads", "x"], { cwd });
  assert.equal(code, 2);
  const { error } = JSON.parse(stdout) as { error: { code: string; message: string; hint: string } };
  assert.equal(error.code, "bad-usage");
  assert.equal(stderr, `error: ${error.message}\n  what now: ${error.hint}\n`);
});
