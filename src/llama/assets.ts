/**
 * Chooses and repairs the files beside the weights. They come from the delta (or from the tuned model, where a delta is
 * made), and so does the vocabulary; the base's serves if it has a token for every row.
 */
import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { JsonDraft, type JsonFile } from "../files/json-draft.js";
import { sourceExists } from "../files/local-file.js";
import { readAssetBytes, readAssetText } from "../files/small-file.js";
import { noPause, type Pause } from "../interrupt.js";
import {
  CONFIG,
  GENERATION_CONFIG,
  PREPROCESSOR_CONFIG,
  TEMPLATE_FILES,
  TOKENIZER_MODEL,
  TOKENIZER_TEXTS,
  type TokenizerText,
  VOCABULARY_FILES,
} from "./file-names.js";
import {
  type ConfigFacts,
  isLlama,
  parseModelConfig,
  repairAutoMap,
  repairConfig,
  repairGenerationConfig,
} from "./model-config.js";
import type { PromptStyle } from "./prompt-templates.js";
import type { Remarks } from "./special-tokens.js";
import { EMBEDDING } from "./tensor-names.js";
import { MOST_TOKENS, tokenizerJsonSchema, type Vocabulary, vocabularyOfModel } from "./tokenizer-files.js";
import {
  repairTokenizer,
  type TokenizerFacts,
  type TokenizerFiles,
  type TokenizerRepair,
} from "./tokenizer-repair.js";

export type AssetFacts = Pick<TokenizerFacts, "rows" | "trimmedRows"> &
  Pick<ConfigFacts, "torchDType" | "tensors">;

export interface AssetOptions {
  /** The prompt template to write into tokenizer_config.json; null: as the delta has it. */
  readonly chatTemplate: PromptStyle | null;
  /** What the first folder holds; default: a delta. */
  readonly source?: "delta" | "tuned model";
  /** Awaited now and then. */
  readonly pause?: Pause;
}

export type Asset =
  | { readonly fileName: string; readonly copyFrom: string }
  /** `repaired`: the path of the file that the text was made of. */
  | { readonly fileName: string; readonly text: string; readonly repaired?: string };

export interface Assets extends Remarks {
  readonly files: Asset[];
}

/** The file that a tokenizer's own tokens are in, without those added to it. */
export interface VocabularyFile extends Pick<Vocabulary, "size" | "model"> {
  readonly path: string;
}

export type PlannedAssets = Assets & { readonly vocabulary: VocabularyFile | null };

interface Folders {
  readonly delta: string;
  readonly base: string;
  /** What the first is called, and what is made. */
  readonly source: "delta" | "tuned model";
  readonly made: "target" | "delta";
}

/** Writes nothing. Errors: `bad-json`, `tokenizer-malformed`, `lfs-pointer`, `source-unreadable`, `wrong-size`. */
export async function planAssets(
  delta: string,
  base: string,
  facts: AssetFacts,
  { chatTemplate, source = "delta", pause = noPause }: AssetOptions,
): Promise<PlannedAssets> {
  refuseTooManyRows(facts.rows);
  const folders: Folders = { delta, base, source, made: source === "delta" ? "target" : "delta" };
  const configFile = readText([delta, base], CONFIG);
  const config = configFile === undefined ? null : parseModelConfig(configFile);
  const tokenizer = await planTokenizer(
    folders,
    {
      ...facts,
      isLlama: config === null ? null : isLlama(config),
      maxPositions: config?.maxPositionEmbeddings ?? null,
      chatTemplate,
    },
    pause,
  );
  const model = planModelFiles(folders, configFile, { ...facts, ids: tokenizer.ids });
  return {
    files: [...model.files, ...tokenizer.files],
    notes: [...model.notes, ...tokenizer.notes],
    warnings: [...model.warnings, ...tokenizer.warnings],
    vocabulary: tokenizer.vocabulary,
  };
}

/** Rows without a token are counted and listed by their ids. */
function refuseTooManyRows(rows: number | null): void {
  if (rows === null || rows <= MOST_TOKENS) return;
  throw new ApplyDeltaError("wrong-size", "The embedding has more rows than any vocabulary has tokens.", {
    tensor: EMBEDDING,
    expected: `at most ${MOST_TOKENS} rows`,
    got: rows,
    hint: "Check that base and delta are language models, and download them from where they were released.",
  });
}

function planModelFiles(
  { delta, base, source, made }: Folders,
  config: JsonFile | undefined,
  facts: ConfigFacts,
): Assets {
  const plan: Assets = { files: [], notes: [], warnings: [] };
  if (config === undefined) {
    plan.warnings.push(`neither ${source} nor base has a config.json: add one before you load the ${made}.`);
  } else {
    const { text, code } = repairAutoMap(config.path, repairConfig(config, facts, plan.notes));
    plan.files.push(assetOf(CONFIG, config, text));
    if (code !== null) (code.isRemoved ? plan.notes : plan.warnings).push(code.remark);
  }
  // The base's goes with the base's config only.
  const isOfBase = config !== undefined && config.path !== join(delta, CONFIG);
  const generation = readText(isOfBase ? [delta, base] : [delta], GENERATION_CONFIG);
  if (generation !== undefined) {
    const text = repairGenerationConfig(generation, facts, plan.notes);
    plan.files.push(assetOf(GENERATION_CONFIG, generation, text));
  }
  if (isOfBase) {
    const both = generation !== undefined && generation.path !== join(delta, GENERATION_CONFIG);
    const names = both ? `${CONFIG} and ${GENERATION_CONFIG}` : CONFIG;
    plan.notes.unshift(`the ${source} has no config.json: ${names} taken from the base.`);
  }
  plan.files.push(...copyOf([delta], PREPROCESSOR_CONFIG));
  return plan;
}

async function planTokenizer(
  folders: Folders,
  facts: TokenizerFacts,
  pause: Pause,
): Promise<PlannedAssets & Pick<TokenizerRepair, "ids">> {
  const { from, found, repair } = await chooseTokenizer(folders, facts, pause);
  const { notes, warnings, ids } = repair;
  const path = repair.vocabulary === null ? undefined : findFile(from, repair.vocabulary.from);
  const vocabulary = path === undefined || repair.vocabulary === null ? null : { path, ...repair.vocabulary };
  const files: Asset[] = [];
  if (found.model !== null) files.push({ fileName: TOKENIZER_MODEL, copyFrom: found.model.path });
  for (const fileName of TOKENIZER_TEXTS) {
    const text = repair.texts[fileName];
    if (text !== undefined) files.push(assetOf(fileName, found.texts[fileName], text));
  }
  for (const fileName of TEMPLATE_FILES) {
    if (facts.chatTemplate === null) files.push(...copyOf(from, fileName));
    else if (findFile(from, fileName) !== undefined) {
      notes.push(`${fileName} is left out: it would hide the template of Vicuna ${facts.chatTemplate}.`);
    }
  }
  return { files, notes, warnings, ids, vocabulary };
}

/** `from`: the folders the tokenizer's files come from, of each the first that has the file. */
async function chooseTokenizer({ delta, base, source, made }: Folders, facts: TokenizerFacts, pause: Pause) {
  const take = async (...from: readonly string[]) => {
    const found = await readTokenizer(from, pause);
    return { from, found, repair: repairTokenizer(found, facts) };
  };
  const hasVocabulary = (folder: string) => VOCABULARY_FILES.some((name) => sourceExists(join(folder, name)));
  if (hasVocabulary(delta)) return take(delta);
  const lost = `the ${source} has no tokenizer.model or tokenizer.json`;
  let why = "neither has the base";
  if (hasVocabulary(base)) {
    const choice = await take(delta, base);
    const { vocabulary, unnamed, notes } = choice.repair;
    const isTooLarge = facts.rows !== null && (vocabulary?.size ?? 0) > facts.rows;
    if (unnamed.length === 0 && !isTooLarge) {
      notes.unshift(`${lost}: the base's is taken.`);
      return choice;
    }
    why = isTooLarge ? "the base's has too many tokens" : `the base's lacks the tokens the ${source} adds`;
  }
  const choice = await take(delta);
  const cure = `copy the tokenizer's files from where the ${source} came from into the ${made} before you use it.`;
  choice.repair.warnings.unshift(`${lost}, and ${why}: ${cure}`);
  return choice;
}

async function readTokenizer(from: readonly string[], pause: Pause): Promise<TokenizerFiles> {
  const path = findFile(from, TOKENIZER_MODEL);
  const texts: Partial<Record<TokenizerText, JsonFile>> = {};
  for (const fileName of TOKENIZER_TEXTS) {
    const text = readText(from, fileName);
    if (text !== undefined) texts[fileName] = text;
  }
  const json = texts["tokenizer.json"];
  return {
    model:
      path === undefined
        ? null
        : { path, vocabulary: await vocabularyOfModel(readAssetBytes(path), path, pause) },
    texts,
    tokenizerJson: json === undefined ? null : await JsonDraft.openLarge(json, tokenizerJsonSchema, pause),
  };
}

/** The file's path in the first folder that has it. */
function findFile(folders: readonly string[], fileName: string): string | undefined {
  return folders.map((folder) => join(folder, fileName)).find(sourceExists);
}

function readText(folders: readonly string[], fileName: string): JsonFile | undefined {
  const path = findFile(folders, fileName);
  return path === undefined ? undefined : readAssetText(path);
}

/** None if there is no such file. One that isn't parsed must still be a regular file, of a size such files have. */
function copyOf(folders: readonly string[], fileName: string): Asset[] {
  const path = findFile(folders, fileName);
  if (path === undefined) return [];
  readAssetBytes(path);
  return [{ fileName, copyFrom: path }];
}

/** A copy, byte for byte, if nothing changed. */
function assetOf(fileName: string, file: JsonFile | undefined, text: string): Asset {
  if (file === undefined) return { fileName, text };
  return file.text === text ? { fileName, copyFrom: file.path } : { fileName, text, repaired: file.path };
}

/** What the target's file will hold; null if there is none. Errors: as `readAssetText`. */
export function readAsset(files: readonly Asset[], fileName: string): JsonFile | null {
  const asset = files.find((file) => file.fileName === fileName);
  if (asset === undefined) return null;
  return "text" in asset
    ? { path: asset.repaired ?? fileName, text: asset.text }
    : readAssetText(asset.copyFrom);
}
