/**
 * Files made to harm their reader (`samples.ts`): each gives the error it is named after, with a way out, and nothing
 * is written. Those too large to commit are made here. A file that hangs or kills its reader ends the test's process.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { planMerge } from "../../src/apply/apply-delta.js";
import { type ErrorCode, EXIT_OF } from "../../src/errors.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { projectPath } from "../support/fixture-path.js";
import {
  listing,
  safetensorsOf,
  temporaryFolder,
  tinyPair,
  tinyShapes,
  writeModel,
} from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { runCli } from "../support/run-cli.js";
import { checkpointEntries, pickle, storedZip } from "../support/torch-samples.js";
import { SAMPLES } from "./samples.js";

const FOLDER = projectPath("test/failure/files");
const PAIR = tinyPair(1, tinyShapes(16, 8, 1));

/** Every so many samples, one also goes through the command line. */
const CLI_EVERY = 12;

interface Models {
  readonly root: string;
  readonly base: string;
  readonly delta: string;
}

function models(context: TestContext): Models {
  const root = temporaryFolder(context);
  writeModel(join(root, "outside"), PAIR.delta);
  const base = writeModel(join(root, "base"), PAIR.base);
  return { root, base, delta: writeModel(join(root, "delta"), PAIR.delta, { shards: 2 }) };
}

const codeOf = (name: string) => name.slice(0, name.indexOf("--")) as ErrorCode;

test("the folder holds what the samples say", () => {
  assert.deepEqual(readdirSync(FOLDER).sort(), Object.keys(SAMPLES).sort());
});

for (const [at, name] of readdirSync(FOLDER).sort().entries()) {
  const path = join(FOLDER, name);
  const isFolder = statSync(path).isDirectory();
  const code = codeOf(name);

  test(name, async (context) => {
    const { root, base, delta } = models(context);
    if (isFolder) cpSync(path, delta, { recursive: true });
    const before = listing(root);
    const target = join(root, "target");
    const read = () =>
      isFolder ? planMerge({ base, delta, target, skipBaseCheck: true }) : openCheckpoint(path);
    const error = await refusal(read, code);
    assert.doesNotMatch(error.format(), /[^\P{Cc}\n]/u);
    if (at % CLI_EVERY === 0) {
      const sides = ["--base", base, "--delta", isFolder ? delta : path, "--target", target, "--json"];
      const run = await runCli([...sides, "--skip-base-check"]);
      assert.equal(run.code, EXIT_OF[code], run.stderr);
      assert.equal((JSON.parse(run.stdout) as { error: { code: string } }).error.code, code);
      assert.doesNotMatch(run.stdout + run.stderr, /[^\P{Cc}\n]/u);
    }
    assert.deepEqual(listing(root), before);
  });
}

/** A file that is long and takes no room. */
function sparse(path: string, byteLength: number, head = "{"): void {
  writeFileSync(path, head);
  truncateSync(path, byteLength);
}

/** A file of a hundred million bytes and more: `head`, then `part` again and again. */
function large(path: string, head: Uint8Array, part: string, byteLength: number): void {
  const fd = openSync(path, "w");
  writeSync(fd, head);
  const block = Buffer.from(part.repeat(Math.ceil(1_000_000 / part.length)));
  for (let done = 0; done < byteLength; done += block.length) {
    writeSync(fd, block, 0, Math.min(block.length, byteLength - done));
  }
  closeSync(fd);
}

const HEADER_BYTES = 100_000_000;
const headerHead = () => safetensorsOf("", Buffer.alloc(0), BigInt(HEADER_BYTES));

/** Files in the delta's folder, or instead of it. */
const LARGE: Readonly<Record<string, (delta: string) => string | undefined>> = {
  "too-large--header-of-100-mb-of-objects": (delta) => {
    const path = join(delta, "model.safetensors");
    large(path, Buffer.concat([headerHead(), Buffer.from('{"a":[')]), "{},", HEADER_BYTES);
    return path;
  },
  "too-large--header-of-100-mb-of-spaces": (delta) => {
    const path = join(delta, "model.safetensors");
    large(path, Buffer.concat([headerHead(), Buffer.from("{")]), " ", HEADER_BYTES);
    return path;
  },
  "header-too-long--header-of-100-mb-and-1": (delta) => {
    const path = join(delta, "model.safetensors");
    large(path, safetensorsOf("", Buffer.alloc(0), BigInt(HEADER_BYTES + 1)), "{", HEADER_BYTES);
    return path;
  },
  "wrong-size--name-of-1-mb": (delta) => {
    const entry = '{"dtype":"F16","shape":[5],"data_offsets":[0,8]}';
    const path = join(delta, "model.safetensors");
    writeFileSync(path, safetensorsOf(`{"${"n".repeat(1_000_000)}":${entry}}`, Buffer.alloc(8)));
    return path;
  },
  "pickle-too-large--million-marks": (delta) => {
    const path = join(delta, "pytorch_model.bin");
    writeFileSync(path, storedZip(checkpointEntries(pickle(Buffer.alloc((1 << 20) + 1, "(")))));
    return path;
  },
  "index-malformed--index-of-60-mb": (delta) => {
    large(join(delta, "model.safetensors.index.json"), Buffer.from('{"weight_map":['), "1,", 60_000_000);
    return undefined;
  },
  "index-malformed--sparse-index-of-1-tb": (delta) => {
    sparse(join(delta, "model.safetensors.index.json"), 2 ** 40);
    return undefined;
  },
  "bad-json--sparse-config-of-1-gb": (delta) => {
    sparse(join(delta, "config.json"), 2 ** 30);
    return undefined;
  },
  "bad-json--tokenizer-json-of-100-mb-of-brackets": (delta) => {
    large(join(delta, "tokenizer.json"), Buffer.from('{"model":'), "[", 100_000_000);
    return undefined;
  },
  "bad-json--tokenizer-json-of-100-mb-of-objects": (delta) => {
    large(join(delta, "tokenizer.json"), Buffer.from('{"model":['), "{},", 100_000_000);
    return undefined;
  },
  "bad-json--sparse-file-that-is-copied": (delta) => {
    sparse(join(delta, "preprocessor_config.json"), 2 ** 40);
    return undefined;
  },
  "truncated-file--sparse-zip-without-an-end": (delta) => {
    const path = join(delta, "pytorch_model.bin");
    sparse(path, 2 ** 36, "PK\x03\x04");
    return path;
  },
  "source-unreadable--folder-as-shard": (delta) => {
    mkdirSync(join(delta, "folder.safetensors"));
    writeFileSync(join(delta, "model.safetensors.index.json"), '{"weight_map":{"a":"folder.safetensors"}}');
    return undefined;
  },
};

const FIFOS: Readonly<Record<string, string>> = {
  "source-unreadable--fifo-as-shard": "model-00001-of-00002.safetensors",
  "source-unreadable--fifo-as-config": "config.json",
  "source-unreadable--fifo-as-tokenizer": "tokenizer.model",
  "source-unreadable--fifo-that-is-copied": "preprocessor_config.json",
};

/** Through the command line, which has little memory here (`run-cli.ts`): what grows without bound ends its process. */
async function refusedByTool(
  context: TestContext,
  name: string,
  make: (delta: string) => string | undefined,
) {
  const { root, base, delta } = models(context);
  const given = make(delta) ?? delta;
  const before = listing(root);
  const sides = ["--base", base, "--delta", given, "--target", join(root, "target")];
  const run = await runCli([...sides, "--skip-base-check", "--json"]);
  const code = codeOf(name);
  assert.equal(run.code, EXIT_OF[code], run.stderr);
  const { error } = JSON.parse(run.stdout) as { error: { code: string; hint?: string } };
  assert.equal(error.code, code, run.stderr);
  assert.ok(error.hint);
  assert.ok(run.stdout.length + run.stderr.length < 20_000, "a file floods the terminal");
  assert.deepEqual(listing(root), before);
}

for (const [name, make] of Object.entries(LARGE)) {
  test(name, (context) => refusedByTool(context, name, make));
}

for (const [name, fileName] of Object.entries(FIFOS)) {
  test(name, { skip: process.platform === "win32" && "there are no FIFOs in folders" }, (context) =>
    refusedByTool(context, name, (delta) => {
      const path = join(delta, fileName);
      execFileSync("rm", ["-f", path]);
      execFileSync("mkfifo", [path]);
      return undefined;
    }),
  );
}
