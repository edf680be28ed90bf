/**
 * docs/mistakes.md stays true: each of its sections is a situation built here, in a folder with real names, and the
 * block in the section is what the program prints there, character for character, with its exit code.
 *
 * `UPDATE_DOCS=1 node --test dist/test/cli/mistakes.test.js` rewrites the blocks; the words around them are by hand.
 */
import assert from "node:assert/strict";
import {
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { projectPath } from "../support/fixture-path.js";
import {
  difference,
  LIFE_SIZES,
  type LifeSize,
  lifeSizeModel,
  mapNumbers,
  type RepeatedTensor,
  tuned,
  withRows,
  writeLifeSize,
} from "../support/life-size-model.js";
import {
  floats,
  listing,
  safetensorsFile,
  temporaryFolder,
  tinyPair,
  tinyShapes,
  writeModel,
} from "../support/model-folder.js";
import { roundTo } from "../support/numbers.js";
import { runCli } from "../support/run-cli.js";
import { llamaPieces, sentencePieceModel } from "../support/sentencepiece-samples.js";

interface Mistake {
  /** The heading in docs/mistakes.md. */
  readonly heading: string;
  /** What the user types behind the program's name. */
  readonly command: string;
  readonly exit: number;
  /** Makes the situation in an empty folder. */
  readonly make: (root: string) => void;
  /** Room that a dry run of a true size asks for; without it, the case can't be shown. */
  readonly needsBytes?: number;
  /** Whether it really merges. */
  readonly writes?: true;
}

type Files = Record<string, string | Uint8Array>;

const PIECES = sentencePieceModel(llamaPieces(32_000));

const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`;

function config(size: LifeSize, more: object = {}): string {
  const { width, mlp, layers, heads } = LIFE_SIZES[size];
  return json({
    architectures: ["LlamaForCausalLM"],
    bos_token_id: 1,
    eos_token_id: 2,
    hidden_size: width,
    intermediate_size: mlp,
    max_position_embeddings: 2048,
    model_type: "llama",
    num_attention_heads: heads,
    num_hidden_layers: layers,
    pad_token_id: 0,
    rms_norm_eps: 1e-6,
    torch_dtype: "float16",
    vocab_size: 32_000,
    ...more,
  });
}

const SPECIAL_TOKENS = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" };

function filesOf(size: LifeSize, more: Files = {}): Files {
  return {
    "config.json": config(size),
    "tokenizer.model": PIECES,
    "tokenizer_config.json": json({ ...SPECIAL_TOKENS, tokenizer_class: "LlamaTokenizer" }),
    "special_tokens_map.json": json(SPECIAL_TOKENS),
    ...more,
  };
}

/** LLaMA 1, Vicuna v1.1 and its delta, v0's delta; and models that have nothing to do with them. */
const LLAMA = lifeSizeModel("7B");
const VICUNA = tuned(LLAMA);
const DELTA = difference(VICUNA, LLAMA);
const DELTA_V0 = withRows(DELTA, 32_001);
const LLAMA_2 = lifeSizeModel("7B", { seed: 7 });

const BASE_NAME = "llama-7b";
const DELTA_NAME = "vicuna-7b-delta-v1.1";
const DELTA_V0_NAME = "vicuna-7b-delta-v0";

const writeBase = (root: string, tensors = LLAMA, files: Files = {}) =>
  writeLifeSize(join(root, BASE_NAME), tensors, filesOf("7B", files));
const writeDelta = (root: string, tensors = DELTA, files: Files = {}) =>
  writeLifeSize(join(root, DELTA_NAME), tensors, filesOf("7B", files));
const writeDeltaV0 = (root: string, tensors = DELTA_V0) =>
  writeLifeSize(join(root, DELTA_V0_NAME), tensors, {
    ...filesOf("7B"),
    "config.json": config("7B", { vocab_size: 32_001 }),
  });

function writeBoth(root: string): void {
  writeBase(root);
  writeDelta(root);
}

function writeFiles(root: string, folder: string, files: Files): void {
  mkdirSync(join(root, folder), { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(root, folder, name), content);
}

const apply = (base: string, delta: string, more = "") =>
  `--base ${base} --delta ${delta} --target vicuna-7b${more === "" ? "" : ` ${more}`}`;

const APPLY = apply(BASE_NAME, DELTA_NAME);

/** What the dry run of a 7B model in float16 asks for. */
const ROOM_7B = 13.5e9;

const LFS_POINTER =
  "version https://git-lfs.github.com/spec/v1\noid sha256:7f161fb09b19b1cef6ae3807b154f18e7a4973cc8c200e2508c6d6958caad2f0\nsize 9976634558\n";

const SHARD = "pytorch_model-00001-of-00002.bin";

const MISTAKES: Mistake[] = [
  {
    heading: "size mismatch: 32000 against 32001",
    command: apply(BASE_NAME, DELTA_V0_NAME, "--dry-run"),
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBase(root);
      writeDeltaV0(root);
    },
  },
  {
    heading: "llama.cpp refuses the merged v0 model: 32001 rows, 32000 pieces",
    command: apply(BASE_NAME, DELTA_V0_NAME, "--trim-pad --dry-run"),
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBase(root);
      writeDeltaV0(root);
    },
  },
  {
    heading: "Only lm_head is 32001",
    command: APPLY,
    exit: 5,
    make: (root) => {
      writeBase(root);
      writeDelta(
        root,
        DELTA.map((tensor) => (tensor.kind === "lm_head" ? { ...tensor, shape: [32_001, 4096] } : tensor)),
      );
    },
  },
  {
    heading: "The base has 32001 rows and the delta 32000",
    command: apply("vicuna-7b-v0", DELTA_NAME),
    exit: 5,
    make: (root) => {
      writeLifeSize(
        join(root, "vicuna-7b-v0"),
        withRows(LLAMA, 32_001),
        filesOf("7B", { "config.json": config("7B", { vocab_size: 32_001 }) }),
      );
      writeDelta(root);
    },
  },
  {
    heading: "7B and 13B mixed up",
    command: apply("llama-13b", DELTA_NAME),
    exit: 5,
    make: (root) => {
      writeLifeSize(join(root, "llama-13b"), lifeSizeModel("13B"), {
        ...filesOf("13B"),
        "config.json": config("13B"),
      });
      writeDelta(root);
    },
  },
  {
    heading: "invalid load key, 'v': a Git LFS pointer",
    command: APPLY,
    exit: 4,
    make: (root) => {
      writeBoth(root);
      writeFileSync(join(root, DELTA_NAME, SHARD), LFS_POINTER);
    },
  },
  {
    heading: "invalid load key, '<': a web page",
    command: APPLY,
    exit: 4,
    make: (root) => {
      writeBoth(root);
      writeFileSync(
        join(root, DELTA_NAME, SHARD),
        "<!doctype html>\n<html><head><title>lmsys</title></head></html>\n",
      );
    },
  },
  {
    heading: "A download that stopped half-way",
    command: APPLY,
    exit: 4,
    make: (root) => {
      writeBoth(root);
      truncateSync(join(root, DELTA_NAME, SHARD), 50_000);
    },
  },
  {
    heading: "A shard is missing",
    command: APPLY,
    exit: 4,
    make: (root) => {
      writeBoth(root);
      rmSync(join(root, DELTA_NAME, "pytorch_model-00002-of-00002.bin"));
    },
  },
  {
    heading: "Gibberish: the delta was run as a model",
    command: `inspect ${DELTA_NAME} --tensors 'lm_head*'`,
    exit: 0,
    make: writeBoth,
  },
  {
    heading: "Base and delta swapped",
    command: apply(DELTA_NAME, BASE_NAME),
    exit: 5,
    make: writeBoth,
  },
  {
    heading: "The delta given as the base, too",
    command: apply(DELTA_NAME, DELTA_NAME),
    exit: 5,
    make: writeBoth,
  },
  {
    heading: "A merged model given as the delta",
    command: apply("llama-2-7b", "vicuna-7b-v1.5"),
    exit: 5,
    make: (root) => {
      const llama2 = filesOf("7B", { "config.json": config("7B", { max_position_embeddings: 4096 }) });
      writeLifeSize(join(root, "llama-2-7b"), LLAMA_2, llama2);
      writeLifeSize(join(root, "vicuna-7b-v1.5"), tuned(LLAMA_2), llama2);
    },
  },
  {
    heading: "Gibberish: Llama 2 as the base of a LLaMA 1 delta",
    command: apply("llama-2-7b", DELTA_NAME),
    exit: 5,
    make: (root) => {
      const llama2 = { "config.json": config("7B", { max_position_embeddings: 4096, rms_norm_eps: 1e-5 }) };
      writeLifeSize(join(root, "llama-2-7b"), LLAMA_2, filesOf("7B", llama2));
      writeDelta(root);
    },
  },
  {
    heading: "A fine-tuned model as the base",
    command: apply("alpaca-7b", DELTA_NAME, "--dry-run"),
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeLifeSize(join(root, "alpaca-7b"), tuned(LLAMA, 5), filesOf("7B"));
      writeDelta(root);
    },
  },
  {
    heading: "A base that was rounded through bfloat16",
    command: `${APPLY} --dry-run`,
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBase(root, rounded(LLAMA));
      writeDelta(root);
    },
  },
  {
    heading: "LLaMATokenizer does not exist; bos and eos are blank",
    command: `${APPLY} --dry-run`,
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBase(root);
      writeDelta(root, DELTA, {
        "config.json": config("7B", {
          architectures: ["LLaMAForCausalLM"],
          bos_token_id: 0,
          eos_token_id: 1,
          pad_token_id: -1,
        }),
        "tokenizer_config.json": json({
          bos_token: "",
          eos_token: "",
          model_max_length: 2048,
          tokenizer_class: "LLaMATokenizer",
          unk_token: "",
        }),
      });
    },
  },
  {
    heading: "Generation never stops: special_tokens_map.json is missing",
    command: `${APPLY} --dry-run`,
    exit: 0,
    needsBytes: ROOM_7B,
    make: (root) => {
      writeBoth(root);
      rmSync(join(root, DELTA_NAME, "special_tokens_map.json"));
    },
  },
  {
    heading: "A base in safetensors gives an empty model",
    command: "--base tiny-llama --delta tiny-delta --target tiny-vicuna --low-cpu-mem",
    exit: 0,
    writes: true,
    make: (root) => {
      const { base, delta } = tinyPair(1, tinyShapes(64, 32, 2));
      writeModel(join(root, "tiny-llama"), base);
      writeModel(join(root, "tiny-delta"), delta, { format: "torch", shards: 2 });
    },
  },
  {
    heading: "The target exists already",
    command: APPLY,
    exit: 6,
    make: (root) => {
      writeBoth(root);
      writeFiles(root, "vicuna-7b", { "notes.txt": "mine" });
    },
  },
  {
    heading: "Tensors that only the delta has",
    command: apply(BASE_NAME, "my-delta"),
    exit: 5,
    make: (root) => {
      writeBase(root);
      const head = { name: "v_head.summary.weight", kind: "v_head", dtype: "F16", shape: [1, 4096] } as const;
      const delta = [...DELTA, { ...head, row: new Float64Array(4096).fill(0.001) }];
      writeLifeSize(join(root, "my-delta"), delta, filesOf("7B"));
    },
  },
  {
    heading: "No space left on device",
    command: apply(BASE_NAME, "my-delta-fp32", "--dry-run"),
    exit: 0,
    needsBytes: 2 * ROOM_7B,
    make: (root) => {
      writeBase(root);
      const delta = DELTA.map((tensor) => ({ ...tensor, dtype: "F32" }) as const);
      writeLifeSize(join(root, "my-delta-fp32"), delta, filesOf("7B"));
    },
  },
  {
    heading: "A quantized base",
    command: apply("llama-7b-4bit-128g", DELTA_NAME),
    exit: 4,
    make: (root) => {
      const gptq = (name: string, dtype: string, bytes: number) => ({
        name: `model.layers.0.self_attn.q_proj.${name}`,
        dtype,
        shape: [bytes / (dtype === "F16" ? 2 : 4)],
        bytes: new Uint8Array(bytes),
      });
      writeFiles(root, "llama-7b-4bit-128g", {
        "config.json": config("7B"),
        "llama-7b-4bit-128g.safetensors": safetensorsFile([
          floats("model.embed_tokens.weight", "F16", [4, 8], new Float64Array(32)),
          gptq("g_idx", "I32", 64),
          gptq("qweight", "I32", 64),
          gptq("qzeros", "I32", 16),
          gptq("scales", "F16", 32),
        ]),
      });
      writeDelta(root);
    },
  },
  {
    heading: "Meta's consolidated.00.pth",
    command: apply("LLaMA/7B", DELTA_NAME),
    exit: 4,
    make: (root) => {
      writeFiles(root, "LLaMA/7B", { "checklist.chk": "", "consolidated.00.pth": "PK", "params.json": "{}" });
      writeDelta(root);
    },
  },
  {
    heading: "A LoRA adapter",
    command: apply(BASE_NAME, "alpaca-lora-7b"),
    exit: 4,
    make: (root) => {
      writeBase(root);
      writeFiles(root, "alpaca-lora-7b", { "adapter_config.json": "{}", "adapter_model.bin": "PK" });
    },
  },
  {
    heading: "A typo in a path",
    command: apply("lama-7b", DELTA_NAME),
    exit: 3,
    make: writeBoth,
  },
  {
    heading: "A model on the Hub, without a network",
    command: `${apply(BASE_NAME, "lmsys/vicuna-7b-delta-v1.1")} --offline`,
    exit: 3,
    make: writeBase,
  },
];

function rounded(tensors: readonly RepeatedTensor[]): RepeatedTensor[] {
  return mapNumbers(tensors, (value) => roundTo("F16", roundTo("BF16", value)));
}

const PAGE = projectPath("docs/mistakes.md");

/** The only block of a section; what comes before it and behind it is by hand. */
const BLOCK = /```console\n[\s\S]*?\n```/;

interface Section {
  readonly heading: string;
  readonly text: string;
}

/** What stands under each `##`; the first part, under `#`, has the overview. */
function sectionsOf(page: string): { overview: string; sections: Section[] } {
  const [overview = "", ...parts] = page.split(/^## /m);
  return { overview, sections: parts.map((text) => ({ heading: text.slice(0, text.indexOf("\n")), text })) };
}

/** As GitHub makes the anchor of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

/** What differs from run to run and from machine to machine, taken out. */
function normalised(output: string, root: string): string {
  return (
    output
      .replaceAll(root, "/models")
      .replace(/took {6}.*/, "took      … s (… GB/s read and written), … MB of memory, … kernel, … threads")
      .replace(/\([\d.]+ \w?B free\)/, "(… GB free)")
      // The files behind this page are small (life-size-model.ts); true ones aren't.
      .replace(/[\d.]+ kB in (\d) files/, "… GB in $1 files")
      .replace(/(\.bin {2})[\d.]+ kB/g, "$1… GB")
  );
}

/** The words of a command line; single quotes hold words together. */
function wordsOf(command: string): string[] {
  return command.split(" ").map((word) => word.replaceAll("'", ""));
}

/** The section's block as it must be; and nothing was made or changed, but by the one case that merges. */
async function blockOf({ command, exit, make, writes }: Mistake, root: string): Promise<string> {
  make(root);
  const before = listing(root);
  const { code, stdout, stderr } = await runCli(wordsOf(command), { cwd: root });
  assert.equal(code, exit, stderr);
  if (writes !== true) assert.deepEqual(listing(root), before);
  const output = normalised(`${stderr}${stdout}`, root);
  return `\`\`\`console\n$ vicuna-apply-delta ${command}\n${output}$ echo $?\n${code}\n\`\`\``;
}

describe("docs/mistakes.md", () => {
  const page = readFileSync(PAGE, "utf8");
  const { overview, sections } = sectionsOf(page);
  const updates = new Map<string, string>();

  test("has one section for each case, in the same order, and a line for each in the overview", () => {
    const headings = MISTAKES.map(({ heading }) => heading);
    assert.deepEqual(
      sections.map(({ heading }) => heading),
      headings,
    );
    const links = [...overview.matchAll(/\]\(#([^)]*)\)/g)].map((match) => match[1]);
    assert.deepEqual(links, headings.map(anchorOf));
    for (const { heading, text } of sections) {
      assert.equal(text.split("```").length, 3, `${heading}: one block`);
      assert.match(text, BLOCK, heading);
    }
  });

  for (const mistake of MISTAKES) {
    test(mistake.heading, async (context) => {
      const root = realpathSync(temporaryFolder(context));
      const { bavail, bsize } = statfsSync(root);
      if (bavail * bsize < (mistake.needsBytes ?? 0)) return context.skip("too little room for the dry run");
      const block = await blockOf(mistake, root);
      updates.set(mistake.heading, block);
      if (process.env.UPDATE_DOCS !== undefined) return;
      const shown = sections.find(({ heading }) => heading === mistake.heading)?.text.match(BLOCK)?.[0];
      assert.equal(shown, block, "run with UPDATE_DOCS=1 to rewrite the page's blocks");
    });
  }

  after(() => {
    if (process.env.UPDATE_DOCS === undefined) return;
    const parts = sections.map(({ heading, text }) => {
      const block = updates.get(heading);
      return `## ${block === undefined ? text : text.replace(BLOCK, () => block)}`;
    });
    writeFileSync(PAGE, overview + parts.join(""));
  });
});
