/** A small merged model on disk, true to its config, and ways to damage it and look at it again. */
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/apply/apply-delta.js";
import type { Check, CheckName, Verification } from "../../src/verify/documents.js";
import { type VerifyOptions, verifyTarget } from "../../src/verify/verify-target.js";
import { flip } from "../faults/flips.js";
import { copyOf } from "./made-once.js";
import { type Tensor, temporaryFolder, tinyPair, tinyShapes, writeModel } from "./model-folder.js";
import { llamaPieces, sentencePieceModel } from "./sentencepiece-samples.js";

const ROWS = 20;
const WIDTH = 16;

export const CONFIG = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  torch_dtype: "float16",
  vocab_size: ROWS,
  hidden_size: WIDTH,
  intermediate_size: 2 * WIDTH,
  num_hidden_layers: 2,
  num_attention_heads: 4,
};

const PAIR = tinyPair(7, tinyShapes(ROWS, WIDTH));

export interface Target {
  readonly root: string;
  readonly base: string;
  readonly delta: string;
  readonly folder: string;
  /** Verifies it; with `withSources`, against base and delta. */
  verify(options?: Partial<VerifyOptions> & { readonly withSources?: boolean }): Promise<Verification>;
}

export interface TargetSides {
  readonly base?: readonly Tensor[];
  readonly delta?: readonly Tensor[];
}

/** Merges a small pair into a target of two shards. */
async function makeIn(root: string, options: Partial<ApplyDeltaOptions>, sides: TargetSides): Promise<void> {
  const files = {
    "config.json": `${JSON.stringify(CONFIG, null, 2)}\n`,
    "tokenizer.model": sentencePieceModel(llamaPieces(ROWS)).toString("latin1"),
  };
  const base = writeModel(join(root, "base"), sides.base ?? PAIR.base, { files });
  const delta = writeModel(join(root, "delta"), sides.delta ?? PAIR.delta, { format: "torch", files });
  await applyDelta({
    base,
    delta,
    target: join(root, "target"),
    skipBaseCheck: true,
    force: true,
    maxShardBytes: 6_000,
    ...options,
  });
}

/** A target in a folder of its own, beside its base and delta. */
export async function makeTarget(
  context: TestContext,
  options: Partial<ApplyDeltaOptions> = {},
  sides?: TargetSides,
): Promise<Target> {
  const make = (root: string) => makeIn(root, options, sides ?? {});
  const root =
    sides === undefined
      ? await copyOf(context, `target ${JSON.stringify(options)}`, make)
      : temporaryFolder(context);
  if (sides !== undefined) await make(root);
  const [base, delta, folder] = ["base", "delta", "target"].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  return {
    root,
    base,
    delta,
    folder,
    verify: ({ withSources = false, ...more } = {}) =>
      verifyTarget({ target: folder, ...(withSources ? { sources: { base, delta } } : {}), ...more }),
  };
}

export function checkOf({ checks }: Verification, name: CheckName): Check {
  const check = checks.find((candidate) => candidate.name === name);
  if (check === undefined) throw new Error(`there is no check ${name}`);
  return check;
}

/** The names of the checks that failed. */
export function failuresOf({ checks }: Verification): CheckName[] {
  return checks.filter(({ status }) => status === "failed").map(({ name }) => name);
}

/** Flips one bit of a file, runs `look`, and flips it back. */
export async function withFlippedBit<T>(
  path: string,
  byte: number,
  bit: number,
  look: () => T | Promise<T>,
): Promise<T> {
  const flipIt = () => flip(path, byte, bit);
  flipIt();
  try {
    return await look();
  } finally {
    flipIt();
  }
}
