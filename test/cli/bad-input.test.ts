/**
 * What bad input gets: for each kind an exit code, an error code, a message that names the file and the tensor and says
 * what to do next, and not one file made or changed.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../src/errors.js";
import {
  floats,
  listing,
  safetensorsFile,
  safetensorsOf,
  type Tensor,
  temporaryFolder,
  tinyPair,
  tinyShapes,
  torchFile,
  withTensor,
  writeModel,
} from "../support/model-folder.js";
import { roundTo, seededNormals } from "../support/numbers.js";
import { runCli } from "../support/run-cli.js";
import {
  assemble,
  checkpointEntries,
  globalName,
  pickle,
  storedZip,
  text,
  tuple,
} from "../support/torch-samples.js";

interface Place {
  readonly root: string;
  /** Folders of a good base and a good delta. */
  readonly base: string;
  readonly delta: string;
}

interface Arguments {
  readonly base?: string;
  readonly delta?: string;
  readonly target?: string;
  readonly more?: readonly string[];
}

interface Case {
  readonly name: string;
  readonly exit: number;
  readonly code: ErrorCode;
  /** Spoils the place; returns the arguments that differ from base, delta and a fresh target. */
  readonly make: (place: Place) => Arguments | undefined;
  /** What stderr must say, the file's name among it. */
  readonly says: readonly (string | RegExp)[];
}

const PAIR = tinyPair();
const SHAPES = tinyShapes();
const EMBED = "model.embed_tokens.weight";
const WEIGHTS = "model.safetensors";

const replaceWeights = (folder: string, bytes: Uint8Array, name = WEIGHTS) =>
  writeFileSync(join(folder, name), bytes);

/** A folder beside base and delta with these files in it. */
function folderOf({ root }: Place, files: Record<string, string | Uint8Array>): string {
  const folder = join(root, "other");
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** The base's header with something changed, before the data it had. */
function withHeader({ base }: Place, change: (header: string, data: Buffer) => Buffer): void {
  const path = join(base, WEIGHTS);
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  writeFileSync(path, change(file.toString("utf8", 8, start), file.subarray(start)));
}

/** The delta as two shards, its index rewritten. */
function withIndex({ root }: Place, change: (index: string) => string): Arguments {
  const delta = writeModel(join(root, "sharded"), PAIR.delta, { shards: 2 });
  const path = join(delta, "model.safetensors.index.json");
  writeFileSync(path, change(readFileSync(path, "utf8")));
  return { delta };
}

const LFS_POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 9976634558\n`;

const SOURCES: Case[] = [
  {
    name: "a base path with a typo",
    exit: 3,
    code: "source-not-found",
    make: ({ root }) => ({ base: join(root, "lama-7b") }),
    says: ["the base", "lama-7b", "typo"],
  },
  {
    name: "a delta that isn't there",
    exit: 3,
    code: "source-not-found",
    make: ({ root }) => ({ delta: join(root, "delta.bin") }),
    says: ["the delta", "delta.bin"],
  },
  {
    name: "a Hub name, offline",
    exit: 3,
    code: "not-in-cache",
    make: () => ({ delta: "lmsys/vicuna-7b-delta-v1.1" }),
    says: ["lmsys/vicuna-7b-delta-v1.1", "is not a local path", "--offline"],
  },
  {
    name: "a device",
    exit: 3,
    code: "source-unreadable",
    make: () => ({ base: "/dev/null" }),
    says: ["/dev/null", "not a regular file"],
  },
  {
    name: "a symbolic link to itself",
    exit: 3,
    code: "source-unreadable",
    make: ({ root }) => {
      symlinkSync(join(root, "loop"), join(root, "loop"));
      return { base: join(root, "loop") };
    },
    says: ["loop", "symbolic link"],
  },
  {
    name: "a path longer than the system allows",
    exit: 3,
    code: "source-unreadable",
    make: () => ({ base: `/tmp/${"x".repeat(5000)}` }),
    says: ["(ENAMETOOLONG).", "longer than the system allows"],
  },
  {
    name: "a path through a file",
    exit: 3,
    code: "source-not-found",
    make: ({ base }) => ({ base: join(base, WEIGHTS, "inside") }),
    says: [join(WEIGHTS, "inside")],
  },
  {
    name: "a folder in a shard's place",
    exit: 3,
    code: "source-unreadable",
    make: ({ root }) => {
      const folder = join(root, "other");
      mkdirSync(join(folder, WEIGHTS), { recursive: true });
      return { base: folder };
    },
    says: [join("other", WEIGHTS), "not a regular file"],
  },
];

const FOLDERS: Case[] = [
  {
    name: "an empty folder",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ base: folderOf(place, {}) }),
    says: ["other", "got:      nothing"],
  },
  {
    name: "config and tokenizer only",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ delta: folderOf(place, { "config.json": "{}", "tokenizer.model": "t" }) }),
    says: ["other", "config.json, tokenizer.model", "downloaded"],
  },
  {
    name: "the folder around the model's",
    exit: 4,
    code: "no-weights",
    make: ({ root }) => ({ delta: root, target: join(root, "base", "..", "..", "vicuna-never-made") }),
    says: ["Did you mean"],
  },
  {
    name: "a folder of llama.cpp",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ base: folderOf(place, { "ggml-model-q4_0.gguf": "GGUF" }) }),
    says: ["llama.cpp", "GGUF", "float16"],
  },
  {
    name: "a folder of an old llama.cpp",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ base: folderOf(place, { "ggml-model-f16.bin": "lmgg" }) }),
    says: ["llama.cpp", "GGML"],
  },
  {
    name: "Meta's original folder",
    exit: 4,
    code: "no-weights",
    make: (place) => ({
      base: folderOf(place, { "consolidated.00.pth": "PK", "params.json": "{}", "checklist.chk": "" }),
    }),
    says: ["Meta's original", "consolidated", "convert_llama_weights_to_hf"],
  },
  {
    name: "a LoRA adapter",
    exit: 4,
    code: "no-weights",
    make: (place) => ({
      delta: folderOf(place, { "adapter_model.safetensors": "x", "adapter_config.json": "{}" }),
    }),
    says: ["LoRA", "merge_and_unload"],
  },
  {
    name: "an unfinished download",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ base: folderOf(place, { "model.safetensors.part": "x" }) }),
    says: ["unfinished download"],
  },
  {
    name: "a folder of Git LFS pointers",
    exit: 4,
    code: "lfs-pointer",
    make: (place) => ({
      delta: folderOf(place, {
        "pytorch_model-00001-of-00002.bin": LFS_POINTER,
        "pytorch_model-00002-of-00002.bin": LFS_POINTER,
      }),
    }),
    says: ["pytorch_model-00001-of-00002.bin", "9976634558", "git lfs pull"],
  },
  {
    name: "a shard missing, by the names",
    exit: 4,
    code: "shard-missing",
    make: (place) => ({
      delta: folderOf(place, {
        "pytorch_model-00001-of-00003.bin": "x",
        "pytorch_model-00003-of-00003.bin": "x",
      }),
    }),
    says: ["pytorch_model-00002-of-00003.bin", "3 shards"],
  },
];

const FILES: Case[] = [
  {
    name: "a Git LFS pointer",
    exit: 4,
    code: "lfs-pointer",
    make: ({ base }) => void replaceWeights(base, Buffer.from(LFS_POINTER)),
    says: [WEIGHTS, "Git LFS pointer", "git lfs pull"],
  },
  {
    name: "a web page",
    exit: 4,
    code: "html-page",
    make: (place) => ({
      delta: folderOf(place, { "pytorch_model.bin": "<!DOCTYPE html><html><body>Sign in</body></html>" }),
    }),
    says: ["pytorch_model.bin", "web page", "resolve/main"],
  },
  {
    name: "an empty file",
    exit: 4,
    code: "empty-file",
    make: ({ base }) => void replaceWeights(base, Buffer.alloc(0)),
    says: [WEIGHTS, "empty"],
  },
  {
    name: "a GGUF file",
    exit: 4,
    code: "foreign-format",
    make: (place) => ({
      base: join(folderOf(place, { "model-q4.gguf": "GGUF\x03\0\0\0" }), "model-q4.gguf"),
    }),
    says: ["model-q4.gguf", "GGUF", "Hugging Face checkpoint"],
  },
  {
    name: "something else",
    exit: 4,
    code: "unknown-format",
    make: (place) => ({ base: join(folderOf(place, { "model.bin": "what is this?" }), "model.bin") }),
    says: ["model.bin", "neither a safetensors file nor a PyTorch checkpoint"],
  },
  {
    name: "a safetensors file cut short in its data",
    exit: 4,
    code: "truncated-file",
    make: ({ base }) => {
      const path = join(base, WEIGHTS);
      truncateSync(path, readFileSync(path).length - 100);
      return undefined;
    },
    says: [WEIGHTS, "ends before its last tensor", "expected:", "got:"],
  },
  {
    name: "a safetensors file cut short in its header",
    exit: 4,
    code: "truncated-file",
    make: ({ base }) => void truncateSync(join(base, WEIGHTS), 200),
    says: [WEIGHTS, "inside its safetensors header"],
  },
  {
    name: "a safetensors file of four bytes",
    exit: 4,
    code: "truncated-file",
    make: ({ base }) => void truncateSync(join(base, WEIGHTS), 4),
    says: [WEIGHTS, "too short"],
  },
  {
    name: "a safetensors file with bytes behind its data",
    exit: 4,
    code: "overlong-file",
    make: ({ base }) => void withHeader({ base } as Place, (h, d) => safetensorsOf(h, Buffer.concat([d, d]))),
    says: [WEIGHTS, "after the last tensor"],
  },
  {
    name: "a header of 100 GB",
    exit: 4,
    code: "header-too-long",
    make: (place) => void withHeader(place, (h, d) => safetensorsOf(h, d, 100_000_000_000n)),
    says: [WEIGHTS, "100000000000"],
  },
  {
    name: "a header that isn't JSON",
    exit: 4,
    code: "header-malformed",
    make: (place) => void withHeader(place, (h, d) => safetensorsOf(h.replace(":", ";"), d)),
    says: [WEIGHTS],
  },
  {
    name: "a hole between tensors",
    exit: 4,
    code: "data-hole",
    make: ({ base }) => void replaceWeights(base, twoTensors([0, 8], [16, 24], 24)),
    says: [WEIGHTS, "tensor:   b", "hole"],
  },
  {
    name: "tensors that overlap",
    exit: 4,
    code: "data-overlap",
    make: ({ base }) => void replaceWeights(base, twoTensors([0, 8], [4, 12], 12)),
    says: [WEIGHTS, "tensor:   b", "overlaps"],
  },
  {
    name: "a tensor of the wrong size",
    exit: 4,
    code: "wrong-size",
    make: ({ base }) => void replaceWeights(base, twoTensors([0, 8], [8, 18], 18)),
    says: [WEIGHTS, "tensor:   b", "8 bytes for F16 [4]"],
  },
  {
    name: "a tensor twice in a header",
    exit: 4,
    code: "duplicate-tensor",
    make: ({ base }) =>
      void replaceWeights(
        base,
        twoTensors([0, 8], [8, 16], 16, (header) => header.replace('"b"', '"a"')),
      ),
    says: [WEIGHTS, '"a"', "twice"],
  },
  {
    name: "a dtype that doesn't exist",
    exit: 4,
    code: "unsupported-dtype",
    make: ({ base }) =>
      void replaceWeights(
        base,
        twoTensors([0, 8], [8, 16], 16, (header) => header.replace("F16", "Q4_0")),
      ),
    says: [WEIGHTS, "tensor:   a", "Q4_0", "float16"],
  },
  {
    name: "a PyTorch file cut short",
    exit: 4,
    code: "truncated-file",
    make: (place) => torchDelta(place, (bytes) => bytes.subarray(0, bytes.length - 100)),
    says: ["pytorch_model.bin"],
  },
  {
    name: "a PyTorch file cut in half",
    exit: 4,
    code: "truncated-file",
    make: (place) => torchDelta(place, (bytes) => bytes.subarray(0, bytes.length / 2)),
    says: ["pytorch_model.bin"],
  },
  {
    name: "a PyTorch file with bytes behind it",
    exit: 4,
    code: "zip-malformed",
    make: (place) => torchDelta(place, (bytes) => Buffer.concat([bytes, Buffer.alloc(100, 1)])),
    says: ["pytorch_model.bin"],
  },
  {
    name: "a pickle that runs a command",
    exit: 4,
    code: "pickle-global",
    make: (place) => {
      const command = `touch ${join(place.root, "pwned")}`;
      const program = pickle(globalName("os", "system"), tuple(text(command)), "R");
      return torchDelta(place, () => storedZip(checkpointEntries(program)));
    },
    says: ["pytorch_model.bin", "os.system", "Nothing in the file was run"],
  },
  {
    name: "a pickle of a number",
    exit: 4,
    code: "not-a-state-dict",
    make: (place) => torchDelta(place, () => storedZip(checkpointEntries(pickle(assemble("K", 7))))),
    says: ["pytorch_model.bin", "not a dict of tensors"],
  },
  {
    name: "a config.json that isn't JSON",
    exit: 4,
    code: "bad-json",
    make: ({ delta }) => void writeFileSync(join(delta, "config.json"), "{ not json"),
    says: [join("delta", "config.json"), "Download config.json again"],
  },
];

const INDEXES: Case[] = [
  {
    name: "names a shard that is missing",
    exit: 4,
    code: "shard-missing",
    make: (place) =>
      withIndex(place, (index) => index.replaceAll("model-00002-of-00002", "model-00009-of-00009")),
    says: ["model-00009-of-00009.safetensors", "fetch the missing"],
  },
  {
    name: "names a tensor twice",
    exit: 4,
    code: "duplicate-tensor",
    make: (place) =>
      withIndex(place, (index) => index.replace('"weight_map":{', `"weight_map":{"${EMBED}":"x",`)),
    says: ["model.safetensors.index.json", EMBED, "twice"],
  },
  ...[
    "../base/model.safetensors",
    "/etc/passwd",
    "..",
    "sub/model.safetensors",
    "C:\\\\model.safetensors",
  ].map(
    (shard): Case => ({
      name: `names the file ${shard}`,
      exit: 4,
      code: "shard-outside-folder",
      make: (place) => withIndex(place, (index) => index.replace("model-00002-of-00002.safetensors", shard)),
      says: ["model.safetensors.index.json", "tensor:   ", JSON.stringify(JSON.parse(`"${shard}"`))],
    }),
  ),
  {
    name: "names a tensor no shard has",
    exit: 4,
    code: "tensor-missing-in-shard",
    make: (place) =>
      withIndex(place, (index) =>
        index.replace('"weight_map":{', '"weight_map":{"ghost":"model-00001-of-00002.safetensors",'),
      ),
    says: ["model.safetensors.index.json", "tensor:   ghost", "in no shard"],
  },
  {
    name: "is no index",
    exit: 4,
    code: "index-malformed",
    make: (place) => withIndex(place, () => '{"metadata":{}}'),
    says: ["model.safetensors.index.json", "weight_map"],
  },
  {
    name: "is absent, and two files hold one tensor",
    exit: 4,
    code: "duplicate-tensor",
    make: (place) => ({
      delta: folderOf(place, {
        "a.safetensors": safetensorsFile(PAIR.delta.slice(0, 3)),
        "b.safetensors": safetensorsFile(PAIR.delta.slice(2)),
      }),
    }),
    says: ["b.safetensors", "a.safetensors", "tensor:   model.layers.0.self_attn.k_proj.weight"],
  },
];

const MISFITS: Case[] = [
  {
    name: "tensors only in the delta",
    exit: 5,
    code: "names-differ",
    make: ({ delta }) => void writeModel(delta, [...PAIR.delta, floats("score.weight", "F16", [2], [1, 2])]),
    says: ["only in the delta (1): score.weight", "--delta-only keep"],
  },
  {
    name: "tensors only in the base, more than are listed",
    exit: 5,
    code: "names-differ",
    make: ({ base }) =>
      void writeModel(base, [
        ...PAIR.base,
        ...Array.from({ length: 13 }, (_, i) => floats(`extra.${i}`, "F16", [1], [1])),
      ]),
    says: ["only in the base (13): ", /extra\.0, .*extra\.9, and 3 more/, "--base-only keep"],
  },
  {
    name: "another number of layers",
    exit: 5,
    code: "names-differ",
    make: ({ base }) => void writeModel(base, tinyPair(2, tinyShapes(64, 32, 3)).base),
    says: ["only in the base (9)", "The base has 3 layers and the delta 2"],
  },
  {
    name: "shapes that differ, more than are listed",
    exit: 5,
    code: "shapes-differ",
    make: ({ base }) => void writeModel(base, tinyPair(2, tinyShapes(64, 40)).base),
    says: [`21 that differ: ${EMBED}: base [64, 40], delta [64, 32]; `, "and 11 more", "width 40"],
  },
  {
    name: "more rows in the base",
    exit: 5,
    code: "shapes-differ",
    make: ({ base }) => void writeModel(base, grown(PAIR.base, 65)),
    says: [`${EMBED}: base [65, 32], delta [64, 32]`, "lm_head.weight", "v0 Vicuna"],
  },
  {
    name: "new rows that are not allowed",
    exit: 5,
    code: "shapes-differ",
    make: ({ delta }) => {
      writeModel(delta, grown(PAIR.delta, 65));
      return { more: ["--new-rows", "error"] };
    },
    says: [`${EMBED}: base [64, 32], delta [65, 32]`, "--new-rows zero"],
  },
  {
    name: "base and delta swapped",
    exit: 5,
    code: "swapped",
    make: ({ base, delta }) => ({ base: delta, delta: base }),
    says: ["swapped", "Exchange --base and --delta"],
  },
  {
    name: "a merged model in the delta's place",
    exit: 5,
    code: "not-a-delta",
    make: ({ delta }) => void writeModel(delta, PAIR.tuned),
    says: ["whole model", "use it as it is", "--force"],
  },
  {
    name: "another model in the base's place",
    exit: 5,
    code: "wrong-base",
    make: ({ base }) => void writeModel(base, tinyPair(99).base),
    says: ["not the model the delta was made from", "LLaMA 1", "--force"],
  },
  {
    name: "an int8 base (bitsandbytes)",
    exit: 4,
    code: "unsupported-dtype",
    make: ({ base }) => void writeModel(base, PAIR.base.flatMap(bitsAndBytes)),
    says: [WEIGHTS, "bitsandbytes int8", "tensor:   model.layers.0", "float16"],
  },
  {
    name: "a GPTQ base",
    exit: 4,
    code: "unsupported-dtype",
    make: ({ base }) => void writeModel(base, PAIR.base.flatMap(gptq)),
    says: [WEIGHTS, "GPTQ", "tensor:   model.layers.0", "float16"],
  },
  {
    name: "an integer delta",
    exit: 4,
    code: "unsupported-dtype",
    make: ({ delta }) =>
      void writeModel(
        delta,
        withTensor(PAIR.delta, "model.norm.weight", (tensor) => ({ ...tensor, dtype: "I16" })),
      ),
    says: [join("delta", WEIGHTS), "tensor:   model.norm.weight", "I16"],
  },
];

const TARGETS: Case[] = [
  {
    name: "a folder that isn't empty",
    exit: 6,
    code: "target-exists",
    make: (place) => ({ target: folderOf(place, { "precious.txt": "mine" }) }),
    says: ["other", "--overwrite"],
  },
  {
    name: "a file",
    exit: 6,
    code: "target-exists",
    make: (place) => ({ target: join(folderOf(place, { file: "mine" }), "file"), more: ["--overwrite"] }),
    says: [join("other", "file"), "A file is in the place"],
  },
  {
    name: "below a file",
    exit: 6,
    code: "target-unwritable",
    make: (place) => ({ target: join(folderOf(place, { file: "mine" }), "file", "target") }),
    says: ["file", "part of the path is a file"],
  },
  {
    name: "a link that leads nowhere",
    exit: 6,
    code: "target-exists",
    make: ({ root }) => {
      symlinkSync(join(root, "nowhere"), join(root, "link"));
      return { target: join(root, "link") };
    },
    says: ["link", "leads nowhere"],
  },
  ...(["base", "delta"] as const).flatMap((side): Case[] => [
    {
      name: `the ${side} itself`,
      exit: 6,
      code: "target-overlaps-source",
      make: (place) => ({ target: place[side], more: ["--overwrite"] }),
      says: [side, "neither inside nor around"],
    },
    {
      name: `inside the ${side}`,
      exit: 6,
      code: "target-overlaps-source",
      make: (place) => ({ target: join(place[side], "merged"), more: ["--overwrite"] }),
      says: [join(side, "merged"), "neither inside nor around"],
    },
    {
      name: `the ${side} by way of a link`,
      exit: 6,
      code: "target-overlaps-source",
      make: (place) => {
        symlinkSync(place[side], join(place.root, "link"));
        return { target: join(place.root, "link"), more: ["--overwrite"] };
      },
      says: [side, "neither inside nor around"],
    },
    {
      name: `a weights file's folder, the ${side} given as a file`,
      exit: 6,
      code: "target-overlaps-source",
      make: (place) => ({
        [side]: join(place[side], WEIGHTS),
        target: place[side],
        more: ["--overwrite"],
      }),
      says: [side, "neither inside nor around"],
    },
  ]),
  {
    name: "around base and delta",
    exit: 6,
    code: "target-overlaps-source",
    make: ({ root }) => ({ target: root, more: ["--overwrite"] }),
    says: ["neither inside nor around"],
  },
  {
    name: "one whose working folder is somebody's",
    exit: 6,
    code: "target-exists",
    make: ({ root }) => {
      mkdirSync(join(root, "target.incomplete"));
      writeFileSync(join(root, "target.incomplete", "precious.txt"), "mine");
      return undefined;
    },
    says: ["target.incomplete", "isn't this tool's"],
  },
];

const GROUPS = {
  "a source": SOURCES,
  "a folder that is": FOLDERS,
  "a weights file that is": FILES,
  "an index that": INDEXES,
  "base and delta:": MISFITS,
  "a target that is": TARGETS,
};

for (const [group, cases] of Object.entries(GROUPS)) {
  describe(group, { concurrency: 3 }, () => {
    for (const { name, exit, code, make, says } of cases) {
      test(`${name}: exit ${exit}, ${code}`, async (context) => {
        const root = temporaryFolder(context);
        const place = {
          root,
          base: writeModel(join(root, "base"), PAIR.base),
          delta: writeModel(join(root, "delta"), PAIR.delta),
        };
        const { base, delta, target, more = [] } = { ...place, target: join(root, "target"), ...make(place) };
        const before = listing(root);
        const options = ["--base", base, "--delta", delta, "--target", target, "--json", ...more];
        const { code: exitCode, stdout, stderr } = await runCli(options, { cwd: root });

        if (process.env.SHOW_MESSAGES !== undefined) console.log(`--- ${group} ${name}\n${stderr}`);
        const { error } = JSON.parse(stdout) as { error: Record<string, unknown> };
        assert.equal(error.code, code, stderr);
        assert.equal(exitCode, exit);
        assert.match(stderr, /^error: \S.*\.$/m);
        for (const part of says) {
          if (typeof part === "string") assert.ok(stderr.includes(part), `no ${part} in ${stderr}`);
          else assert.match(stderr, part);
        }
        assert.match(stderr, /^ {2}what now: [A-Z].+/m);
        assert.ok(stderr.includes(String(error.message)) && stderr.includes(String(error.hint)));
        assert.ok(!stderr.includes("    at "), "a stack trace without --verbose");
        assert.deepEqual(listing(root), before);
      });
    }
  });
}

test("a place that is not spoilt merges", async (context) => {
  const root = temporaryFolder(context);
  const base = writeModel(join(root, "base"), PAIR.base);
  const delta = writeModel(join(root, "delta"), PAIR.delta);
  const { code, stderr } = await runCli(["--base", base, "--delta", delta, "--target", join(root, "target")]);
  assert.equal(stderr, "");
  assert.equal(code, 0);
});

/** Tensors `a` and `b` of four F16 at the given ranges. */
function twoTensors(
  a: [number, number],
  b: [number, number],
  dataLength: number,
  change = (header: string) => header,
): Buffer {
  const entry = (range: [number, number]) => ({ dtype: "F16", shape: [4], data_offsets: range });
  return safetensorsOf(change(JSON.stringify({ a: entry(a), b: entry(b) })), Buffer.alloc(dataLength));
}

/** The delta as a .bin file, spoilt. */
function torchDelta(place: Place, spoil: (bytes: Buffer) => Uint8Array): Arguments {
  return { delta: folderOf(place, { "pytorch_model.bin": spoil(torchFile(PAIR.delta)) }) };
}

/** The embeddings with `rows` rows, the new ones small. */
function grown(tensors: readonly Tensor[], rows: number): Tensor[] {
  const normal = seededNormals(7);
  return tensors.map((tensor) => {
    if (tensor.shape[0] !== SHAPES[0]?.shape[0] || tensor.shape[1] !== 32 || !isEmbedding(tensor))
      return tensor;
    const added = Array.from({ length: (rows - 64) * 32 }, () => roundTo("F16", normal() * 1e-3));
    const bytes = Buffer.concat([tensor.bytes, floats("", "F16", [], added).bytes]);
    return { ...tensor, shape: [rows, 32], bytes };
  });
}

function isEmbedding({ name }: Tensor): boolean {
  return name === EMBED || name === "lm_head.weight";
}

/** As transformers saves a model loaded in 8 bit: int8 weights, their scales, a note on the format. */
function bitsAndBytes(tensor: Tensor): Tensor[] {
  if (!tensor.name.includes("_proj.")) return [tensor];
  const count = tensor.bytes.length / 2;
  const scale = floats(
    tensor.name.replace(/weight$/, "SCB"),
    "F32",
    [tensor.shape[0] ?? 0],
    new Float64Array(tensor.shape[0] ?? 0),
  );
  return [{ ...tensor, dtype: "I8", bytes: new Uint8Array(count) }, scale];
}

/** As AutoGPTQ saves: packed integers, zero points, scales and the order of groups instead of each weight. */
function gptq(tensor: Tensor): Tensor[] {
  if (!tensor.name.includes("_proj.")) return [tensor];
  const stem = tensor.name.replace(/weight$/, "");
  return [
    { name: `${stem}qweight`, dtype: "I32", shape: [4, 32], bytes: new Uint8Array(512) },
    { name: `${stem}qzeros`, dtype: "I32", shape: [1, 4], bytes: new Uint8Array(16) },
    { name: `${stem}g_idx`, dtype: "I32", shape: [32], bytes: new Uint8Array(128) },
    floats(`${stem}scales`, "F16", [1, 32], new Float64Array(32)),
  ];
}
