/**
 * In: the folders of delta and base, and what the target's tensors are. Out: the files beside the weights:
 * config and tokenizer, from the delta, true to the tensors.
 * Guards: `torch_dtype` and `vocab_size` in config.json say what the weights are; nothing else in it changes,
 * not even the spelling of a number (transformers refuses `"factor": 2` where it wants `2.0`).
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { applyEdits, modify } from "jsonc-parser";
import { z } from "zod";
import { sourceError } from "../checkpoint/local-file.js";
import { ApplyDeltaError } from "../errors.js";

/** A config is a few kB; stops a file that would fill the memory. */
const MAX_CONFIG_BYTES = 16_000_000;

const CONFIG = "config.json";

const GENERATION_CONFIG = "generation_config.json";

const MODEL_FILES = [CONFIG, GENERATION_CONFIG, "preprocessor_config.json"];

const TOKENIZER_FILES = [
  "tokenizer.model",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
];

export interface AssetFacts {
  /** Rows of the target's embedding, or null where it has none. */
  readonly vocabSize: number | null;
  /** As config.json spells it: `float16`, … */
  readonly torchDType: string;
  /** Whether the base's tokenizer has a token for every row of the target. */
  readonly baseTokenizerFits: boolean;
}

export type Asset =
  | { readonly fileName: string; readonly copyFrom: string }
  | { readonly fileName: string; readonly text: string };

export interface Assets {
  readonly files: readonly Asset[];
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
}

const configSchema = z.looseObject({
  vocab_size: z.number().int().nonnegative().optional(),
  torch_dtype: z.string().nullish(),
  dtype: z.string().nullish(),
});

/** Decides what is copied from where. Errors: `bad-json`, `source-unreadable`. Nothing is written. */
export function planAssets(deltaFolder: string, baseFolder: string, facts: AssetFacts): Assets {
  const files: Asset[] = [];
  const notes: string[] = [];
  const warnings: string[] = [];
  const present = (folder: string, names: readonly string[]) =>
    names.filter((name) => existsSync(join(folder, name)));

  for (const fileName of present(deltaFolder, MODEL_FILES)) {
    files.push({ fileName, copyFrom: join(deltaFolder, fileName) });
  }
  if (!files.some(({ fileName }) => fileName === CONFIG)) {
    const fromBase = present(baseFolder, [CONFIG, GENERATION_CONFIG]).filter(
      (name) => !files.some(({ fileName }) => fileName === name),
    );
    for (const fileName of fromBase) files.push({ fileName, copyFrom: join(baseFolder, fileName) });
    if (fromBase.includes(CONFIG))
      notes.push(`the delta has no config.json: ${fromBase.join(" and ")} taken from the base.`);
    else warnings.push("neither delta nor base has a config.json: add one before you load the target.");
  }

  const tokenizer = present(deltaFolder, TOKENIZER_FILES);
  const isWhole = isWholeTokenizer(tokenizer);
  const allOfBase = isWhole ? [] : present(baseFolder, TOKENIZER_FILES);
  const baseTokenizer = isWholeTokenizer(allOfBase) ? allOfBase : [];
  const tokenizerFolder =
    isWhole || baseTokenizer.length === 0 || !facts.baseTokenizerFits ? deltaFolder : baseFolder;
  const tokenizerFiles = tokenizerFolder === deltaFolder ? tokenizer : baseTokenizer;
  for (const fileName of tokenizerFiles) files.push({ fileName, copyFrom: join(tokenizerFolder, fileName) });
  if (tokenizerFolder !== deltaFolder) {
    notes.push(`the delta has no tokenizer: the base's is taken (${baseTokenizer.join(", ")}).`);
  } else if (!isWhole) {
    const why =
      baseTokenizer.length > 0 ? " and the base's lacks the tokens the delta adds" : " and the base neither";
    warnings.push(
      `the delta has no tokenizer.model or tokenizer.json${why}: add one before you use the target.`,
    );
  }

  return { files: files.map((asset) => correctConfig(asset, facts, notes)), notes, warnings };
}

function isWholeTokenizer(names: readonly string[]): boolean {
  return names.includes("tokenizer.model") || names.includes("tokenizer.json");
}

function correctConfig(asset: Asset, facts: AssetFacts, notes: string[]): Asset {
  if (asset.fileName !== CONFIG || !("copyFrom" in asset)) return asset;
  const original = readText(asset.copyFrom);
  const config = parseConfig(original, asset.copyFrom);
  let text = original;
  const set = (key: string, value: string | number) => {
    const options = { formattingOptions: { insertSpaces: true, tabSize: 2 } };
    text = applyEdits(text, modify(text, [key], value, options));
    notes.push(`config.json: ${key} set to ${value}, as the tensors are.`);
  };
  // transformers 5 writes `dtype`, earlier ones `torch_dtype`; whichever is there is kept true.
  const present = (["torch_dtype", "dtype"] as const).filter((key) => config[key] != null);
  for (const key of present.length > 0 ? present : (["torch_dtype"] as const)) {
    if (config[key] !== facts.torchDType) set(key, facts.torchDType);
  }
  if (facts.vocabSize !== null && config.vocab_size !== facts.vocabSize) set("vocab_size", facts.vocabSize);
  return text === original ? asset : { fileName: CONFIG, text };
}

function parseConfig(text: string, path: string): z.infer<typeof configSchema> {
  try {
    return configSchema.parse(JSON.parse(text));
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    throw new ApplyDeltaError("bad-json", "config.json isn't a model's configuration.", {
      file: path,
      got: issue === undefined ? String(cause) : `${issue.path.join(".")}: ${issue.message}`,
      hint: "Download config.json again from where the model came from.",
      cause,
    });
  }
}

function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size <= MAX_CONFIG_BYTES) return readFileSync(path, "utf8");
    throw new ApplyDeltaError("bad-json", "config.json is too large to be a model's configuration.", {
      file: path,
      expected: `at most ${MAX_CONFIG_BYTES} bytes`,
      got: `${size} bytes`,
      hint: "Download config.json again from where the model came from.",
    });
  } catch (error) {
    throw sourceError(error, path);
  }
}
