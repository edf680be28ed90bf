/**
 * In: the folders of base and delta (or of the tuned model, where a delta is made), and what the tensors are that are
 * made. Out: the files beside the weights: config and tokenizer, from the delta, true to the tensors and to each other.
 * Guards: which file comes from where. The vocabulary is the delta's; the base's serves where it has a token for
 * every row. What the files must say is `vicuna/`'s to know.
 */

import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { JsonFile } from "../files/json-draft.js";
import { sourceExists } from "../files/local-file.js";
import { readAssetBytes, readAssetText } from "../files/small-file.js";
import {
  isLlama,
  type Mended,
  mendConfig,
  mendGenerationConfig,
  type RawConfig,
  readConfig,
  type SpecialIds,
} from "../llama/config-repair.js";
import type { PromptStyle } from "../llama/prompt-templates.js";
import { EMBEDDING } from "../llama/tensor-names.js";
import {
  repairTokenizer,
  TOKENIZER_TEXTS,
  type TokenizerRepair,
  type TokenizerText,
} from "../llama/tokenizer-repair.js";
import { MAX_TOKEN_ID } from "../llama/vocabulary.js";

const CONFIG = "config.json";
const GENERATION_CONFIG = "generation_config.json";
const OTHER_MODEL_FILES = ["preprocessor_config.json"];

/** Either holds every token. */
const VOCABULARY_FILES = ["tokenizer.model", "tokenizer.json"];

/** Newer transformers prefer these to `chat_template` in tokenizer_config.json. */
const TEMPLATE_FILES = ["chat_template.jinja", "chat_template.json"];

/** Every file beside the weights that a target may be made from. */
export const ASSET_NAMES: readonly string[] = [
  CONFIG,
  GENERATION_CONFIG,
  ...OTHER_MODEL_FILES,
  "tokenizer.model",
  ...TOKENIZER_TEXTS,
  ...TEMPLATE_FILES,
];

export interface AssetFacts {
  /** Rows of the target's embedding, or null where it has none. */
  readonly vocabSize: number | null;
  /** How many of the delta's rows the target leaves out. */
  readonly trimmedRows: number;
  /** As config.json spells it: `float16`, … */
  readonly torchDType: string;
}

export interface AssetOptions {
  /** The prompt template to write into tokenizer_config.json; null: as the delta has it. */
  readonly chatTemplate: PromptStyle | null;
  /** What the first folder holds; default: a delta. */
  readonly source?: "delta" | "tuned model";
}

export type Asset =
  | { readonly fileName: string; readonly copyFrom: string }
  | { readonly fileName: string; readonly text: string };

export interface Assets {
  readonly files: readonly Asset[];
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
}

interface Folders {
  readonly delta: string;
  readonly base: string;
  /** What the first is called, and what is made. */
  readonly source: "delta" | "tuned model";
  readonly made: "target" | "delta";
}

/** Errors: `bad-json`, `tokenizer-malformed`, `lfs-pointer`, `source-unreadable`, `wrong-size`. Nothing is written. */
export function planAssets(
  deltaFolder: string,
  baseFolder: string,
  facts: AssetFacts,
  options: AssetOptions,
): Assets {
  const source = options.source ?? "delta";
  const made = source === "delta" ? "target" : "delta";
  const folders: Folders = { delta: deltaFolder, base: baseFolder, source, made };
  refuseTooManyRows(facts.vocabSize);
  const notes: string[] = [];
  const warnings: string[] = [];
  const configFolder = has(deltaFolder, CONFIG) ? deltaFolder : has(baseFolder, CONFIG) ? baseFolder : null;
  const configFile = configFolder === null ? null : readAssetText(join(configFolder, CONFIG));
  const config = configFile === null ? null : readConfig(configFile);

  const tokenizer = planTokenizer(folders, config, facts, options);
  const model = planModelFiles(folders, configFile, tokenizer.ids, facts);
  for (const part of [model, tokenizer]) {
    notes.push(...part.notes);
    warnings.push(...part.warnings);
  }
  return { files: [...model.files, ...tokenizer.files], notes, warnings };
}

/** Rows without a token are counted and listed by their ids. */
function refuseTooManyRows(rows: number | null): void {
  if (rows === null || rows <= MAX_TOKEN_ID) return;
  throw new ApplyDeltaError("wrong-size", "The embedding has more rows than any vocabulary has tokens.", {
    tensor: EMBEDDING,
    expected: `at most ${MAX_TOKEN_ID} rows`,
    got: rows,
    hint: "Base and delta are not language models, or the file is made up: get them where they were released.",
  });
}

function planModelFiles(
  { delta, base, source, made }: Folders,
  configFile: JsonFile | null,
  ids: SpecialIds | null,
  { vocabSize, torchDType }: AssetFacts,
): Assets {
  const files: Asset[] = [];
  const notes: string[] = [];
  const warnings: string[] = [];
  const keep = (fileName: string, file: JsonFile, mended: Mended) => {
    files.push(assetOf(fileName, file, mended.text));
    notes.push(...mended.notes);
  };
  const ofBase: string[] = [];
  if (configFile === null) {
    warnings.push(`neither ${source} nor base has a config.json: add one before you load the ${made}.`);
  } else {
    if (!has(delta, CONFIG)) ofBase.push(CONFIG);
    keep(CONFIG, configFile, mendConfig(configFile, { rows: vocabSize, torchDType, ids }));
  }
  // The base's goes with the base's config only.
  const generationFolder = has(delta, GENERATION_CONFIG) ? delta : ofBase.length > 0 ? base : null;
  if (generationFolder !== null && has(generationFolder, GENERATION_CONFIG)) {
    if (!has(delta, GENERATION_CONFIG)) ofBase.push(GENERATION_CONFIG);
    const file = readAssetText(join(generationFolder, GENERATION_CONFIG));
    keep(GENERATION_CONFIG, file, mendGenerationConfig(file, ids, vocabSize));
  }
  if (ofBase.length > 0)
    notes.unshift(`the ${source} has no config.json: ${ofBase.join(" and ")} taken from the base.`);
  for (const fileName of OTHER_MODEL_FILES) {
    if (has(delta, fileName)) files.push(copyOf(fileName, join(delta, fileName)));
  }
  return { files, notes, warnings };
}

function planTokenizer(
  folders: Folders,
  config: RawConfig | null,
  facts: AssetFacts,
  { chatTemplate }: AssetOptions,
): Assets & { readonly ids: SpecialIds | null } {
  const repair = (pathOf: PathOf): TokenizerRepair => {
    const modelPath = pathOf("tokenizer.model");
    const texts: Partial<Record<TokenizerText, JsonFile>> = {};
    for (const fileName of TOKENIZER_TEXTS) {
      const path = pathOf(fileName);
      if (path !== null) texts[fileName] = readAssetText(path);
    }
    const model = modelPath === null ? null : { path: modelPath, bytes: readAssetBytes(modelPath) };
    return repairTokenizer(
      { model, texts },
      {
        rows: facts.vocabSize,
        trimmedRows: facts.trimmedRows,
        isLlama: config === null ? null : isLlama(config),
        maxPositions: config?.max_position_embeddings ?? null,
        chatTemplate,
      },
    );
  };
  const { pathOf, repaired, notes, warnings } = chooseVocabulary(folders, facts.vocabSize, repair);
  const files: Asset[] = [];
  const model = pathOf("tokenizer.model");
  if (model !== null) files.push({ fileName: "tokenizer.model", copyFrom: model });
  for (const fileName of TOKENIZER_TEXTS) {
    const text = repaired.texts[fileName];
    const path = pathOf(fileName);
    if (text !== undefined) files.push(assetOf(fileName, path === null ? null : readAssetText(path), text));
  }
  for (const fileName of TEMPLATE_FILES) {
    const path = pathOf(fileName);
    if (path === null) continue;
    if (chatTemplate === null) files.push(copyOf(fileName, path));
    else notes.push(`${fileName} is left out: it would hide the template of Vicuna ${chatTemplate}.`);
  }
  return {
    files,
    notes: [...notes, ...repaired.notes],
    warnings: [...warnings, ...repaired.warnings],
    ids: repaired.ids,
  };
}

/** Where a file comes from; null where it is in neither folder, or isn't to be taken. */
type PathOf = (fileName: string) => string | null;

interface Choice {
  readonly pathOf: PathOf;
  readonly repaired: TokenizerRepair;
  readonly notes: string[];
  readonly warnings: string[];
}

function chooseVocabulary(
  { delta, base, source, made }: Folders,
  rows: number | null,
  repair: (pathOf: PathOf) => TokenizerRepair,
): Choice {
  const inDelta: PathOf = (fileName) => (has(delta, fileName) ? join(delta, fileName) : null);
  if (VOCABULARY_FILES.some((fileName) => has(delta, fileName))) {
    return { pathOf: inDelta, repaired: repair(inDelta), notes: [], warnings: [] };
  }
  const ofBase = VOCABULARY_FILES.filter((fileName) => has(base, fileName));
  const lost = `the ${source} has no tokenizer.model or tokenizer.json`;
  let why = "the base neither";
  const cure = `copy the tokenizer's files from where the ${source} came from into the ${made} before you use it.`;
  if (ofBase.length > 0) {
    const inEither: PathOf = (fileName) =>
      inDelta(fileName) ?? (has(base, fileName) ? join(base, fileName) : null);
    const repaired = repair(inEither);
    const size = repaired.vocabularySize ?? 0;
    if (repaired.unnamed.length === 0 && size <= (rows ?? size)) {
      return { pathOf: inEither, repaired, notes: [`${lost}: the base's is taken.`], warnings: [] };
    }
    why =
      repaired.unnamed.length > 0
        ? `the base's lacks the tokens the ${source} adds`
        : "the base's has too many tokens";
  }
  const warnings = [`${lost} and ${why}: ${cure}`];
  return { pathOf: inDelta, repaired: repair(inDelta), notes: [], warnings };
}

function has(folder: string, fileName: string): boolean {
  return sourceExists(join(folder, fileName));
}

/** A file nothing is looked for in, if it is one that can be copied: real, and of a size such files have. */
function copyOf(fileName: string, path: string): Asset {
  readAssetBytes(path);
  return { fileName, copyFrom: path };
}

/** A copy where nothing changed: byte for byte the source's. */
function assetOf(fileName: string, file: JsonFile | null, text: string): Asset {
  return file !== null && file.text === text ? { fileName, copyFrom: file.path } : { fileName, text };
}
