/**
 * Chooses and repairs the files beside the weights. They come from the delta (or from the tuned model, where a delta is
 * made), and so does the vocabulary; the base's serves if it has a token for every row.
 */
import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { JsonFile } from "../files/json-draft.js";
import { sourceExists } from "../files/local-file.js";
import { readAssetBytes, readAssetText } from "../files/small-file.js";
import { repairConfig, repairGenerationConfig, type SpecialIds } from "./config-repair.js";
import type { ModelConfig } from "./documents.js";
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
import { isLlama, parseModelConfig } from "./model-config.js";
import type { PromptStyle } from "./prompt-templates.js";
import { EMBEDDING } from "./tensor-names.js";
import { MAX_TOKEN_ID } from "./tokenizer-files.js";
import { type Remarks, repairTokenizer, type TokenizerRepair } from "./tokenizer-repair.js";

export interface AssetFacts {
  /** Rows of the target's embedding; null if it has none. */
  readonly rows: number | null;
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

export interface Assets extends Remarks {
  readonly files: Asset[];
}

interface Folders {
  readonly delta: string;
  readonly base: string;
  /** What the first is called, and what is made. */
  readonly source: "delta" | "tuned model";
  readonly made: "target" | "delta";
}

/**
 * Writes nothing. Errors: `bad-json`, `tokenizer-malformed`, `lfs-pointer`, `source-unreadable`, `wrong-size`.
 */
export function planAssets(
  delta: string,
  base: string,
  facts: AssetFacts,
  { chatTemplate, source = "delta" }: AssetOptions,
): Assets {
  refuseTooManyRows(facts.rows);
  const folders: Folders = { delta, base, source, made: source === "delta" ? "target" : "delta" };
  const configPath = findFile([delta, base], CONFIG);
  const configFile = configPath === null ? null : readAssetText(configPath);
  const config = configFile === null ? null : parseModelConfig(configFile);
  const tokenizer = planTokenizer(folders, config, facts, chatTemplate);
  const model = planModelFiles(folders, configFile, { ...facts, ids: tokenizer.ids });
  return {
    files: [...model.files, ...tokenizer.files],
    notes: [...model.notes, ...tokenizer.notes],
    warnings: [...model.warnings, ...tokenizer.warnings],
  };
}

/** Rows without a token are counted and listed by their ids. */
function refuseTooManyRows(rows: number | null): void {
  if (rows === null || rows <= MAX_TOKEN_ID) return;
  throw new ApplyDeltaError("wrong-size", "The embedding has more rows than any vocabulary has tokens.", {
    tensor: EMBEDDING,
    expected: `at most ${MAX_TOKEN_ID} rows`,
    got: rows,
    hint: "Check that base and delta are language models, and download them from where they were released.",
  });
}

function planModelFiles(
  { delta, base, source, made }: Folders,
  configFile: JsonFile | null,
  facts: AssetFacts & { readonly ids: SpecialIds | null },
): Assets {
  const plan: Assets = { files: [], notes: [], warnings: [] };
  const isOfDelta = sourceExists(join(delta, CONFIG));
  const fromBase: string[] = [];
  if (configFile === null) {
    plan.warnings.push(`neither ${source} nor base has a config.json: add one before you load the ${made}.`);
  } else {
    if (!isOfDelta) fromBase.push(CONFIG);
    plan.files.push(assetOf(CONFIG, configFile, repairConfig(configFile, facts, plan.notes)));
  }
  // The base's goes with the base's config only.
  const folders = configFile === null || isOfDelta ? [delta] : [delta, base];
  const generationPath = findFile(folders, GENERATION_CONFIG);
  if (generationPath !== null) {
    if (generationPath !== join(delta, GENERATION_CONFIG)) fromBase.push(GENERATION_CONFIG);
    const file = readAssetText(generationPath);
    plan.files.push(assetOf(GENERATION_CONFIG, file, repairGenerationConfig(file, facts, plan.notes)));
  }
  if (fromBase.length > 0) {
    plan.notes.unshift(`the ${source} has no config.json: ${fromBase.join(" and ")} taken from the base.`);
  }
  const preprocessorPath = findFile([delta], PREPROCESSOR_CONFIG);
  if (preprocessorPath !== null) plan.files.push(copyOf(PREPROCESSOR_CONFIG, preprocessorPath));
  return plan;
}

function planTokenizer(
  folders: Folders,
  config: ModelConfig | null,
  facts: AssetFacts,
  chatTemplate: PromptStyle | null,
): Assets & { readonly ids: SpecialIds | null } {
  const { from, found, repair, notes, warnings } = chooseTokenizer(folders, facts.rows, (files) =>
    repairTokenizer(files, {
      ...facts,
      isLlama: config === null ? null : isLlama(config),
      maxPositions: config?.maxPositionEmbeddings ?? null,
      chatTemplate,
    }),
  );
  const files: Asset[] = [];
  if (found.model !== null) files.push({ fileName: TOKENIZER_MODEL, copyFrom: found.model.path });
  for (const fileName of TOKENIZER_TEXTS) {
    const text = repair.texts[fileName];
    if (text !== undefined) files.push(assetOf(fileName, found.texts[fileName], text));
  }
  for (const fileName of TEMPLATE_FILES) {
    const path = findFile(from, fileName);
    if (path === null) continue;
    if (chatTemplate === null) files.push(copyOf(fileName, path));
    else notes.push(`${fileName} is left out: it would hide the template of Vicuna ${chatTemplate}.`);
  }
  return {
    files,
    notes: [...notes, ...repair.notes],
    warnings: [...warnings, ...repair.warnings],
    ids: repair.ids,
  };
}

type TokenizerFiles = Parameters<typeof repairTokenizer>[0];

interface TokenizerChoice extends Remarks {
  /** The folders its files come from, the first that has a file. */
  readonly from: readonly string[];
  readonly found: TokenizerFiles;
  readonly repair: TokenizerRepair;
}

function chooseTokenizer(
  { delta, base, source, made }: Folders,
  rows: number | null,
  repairFiles: (files: TokenizerFiles) => TokenizerRepair,
): TokenizerChoice {
  const take = (from: readonly string[]) => {
    const found = readTokenizer(from);
    return { from, found, repair: repairFiles(found) };
  };
  const hasVocabulary = (folder: string) => VOCABULARY_FILES.some((name) => sourceExists(join(folder, name)));
  if (hasVocabulary(delta)) return { ...take([delta]), notes: [], warnings: [] };
  const lost = `the ${source} has no tokenizer.model or tokenizer.json`;
  let why = "neither has the base";
  if (hasVocabulary(base)) {
    const choice = take([delta, base]);
    const size = choice.repair.vocabularySize ?? 0;
    const { unnamed } = choice.repair;
    if (unnamed.length === 0 && size <= (rows ?? size)) {
      return { ...choice, notes: [`${lost}: the base's is taken.`], warnings: [] };
    }
    why =
      unnamed.length > 0
        ? `the base's lacks the tokens the ${source} adds`
        : "the base's has too many tokens";
  }
  const cure = `copy the tokenizer's files from where the ${source} came from into the ${made} before you use it.`;
  return { ...take([delta]), notes: [], warnings: [`${lost}, and ${why}: ${cure}`] };
}

function readTokenizer(from: readonly string[]): TokenizerFiles {
  const modelPath = findFile(from, TOKENIZER_MODEL);
  const texts: Partial<Record<TokenizerText, JsonFile>> = {};
  for (const fileName of TOKENIZER_TEXTS) {
    const path = findFile(from, fileName);
    if (path !== null) texts[fileName] = readAssetText(path);
  }
  return { model: modelPath === null ? null : { path: modelPath, bytes: readAssetBytes(modelPath) }, texts };
}

/** The file's path in the first folder that has it; null if none has. */
function findFile(folders: readonly string[], fileName: string): string | null {
  return folders.map((folder) => join(folder, fileName)).find(sourceExists) ?? null;
}

/** A file that isn't parsed must still be a regular one, of a size such files have. */
function copyOf(fileName: string, path: string): Asset {
  readAssetBytes(path);
  return { fileName, copyFrom: path };
}

/** A copy, byte for byte, if nothing changed. */
function assetOf(fileName: string, file: JsonFile | undefined, text: string): Asset {
  return file?.text === text ? { fileName, copyFrom: file.path } : { fileName, text };
}
