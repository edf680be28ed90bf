/**
 * The special tokens the model was trained with. Old conversions of LLaMA left them blank or wrong in
 * special_tokens_map.json and tokenizer_config.json; then generation never stops (FastChat
 * `docs/vicuna_weights_version.md`, "Tokenizer issues", and its issues #408, #433, #466, #514).
 */
import { formatJson, JsonDraft, type JsonFile } from "../files/json-draft.js";
import { DEFAULT_CONTEXT_TOKENS } from "./model-config.js";
import {
  contentOf,
  type SpecialTokensMap,
  specialTokensMapSchema,
  type TokenFiles,
  tokenizerConfigSchema,
  type Vocabulary,
} from "./tokenizer-files.js";

const KEYS = ["bos_token", "eos_token", "unk_token"] as const;

/** Null if unknown. */
export type SpecialNames = Readonly<Record<(typeof KEYS)[number], string | null>>;

/** What the user is told: `notes` of what was changed, `warnings` of what only the user can repair. */
export interface Remarks {
  readonly notes: string[];
  readonly warnings: string[];
}

export interface ModelFacts {
  /** Whether the model is a LLaMA; null if no config says. */
  readonly isLlama: boolean | null;
  /** `max_position_embeddings`; null if no config says. */
  readonly maxPositions: number | null;
}

export interface TokenizerKind extends ModelFacts {
  /** Whether its files are those of a fast tokenizer: tokenizer.json, or tiktoken's list. */
  readonly isFast: boolean;
  /** Whether a LlamaTokenizer is one of before transformers 5, with `legacy` where its config doesn't say. */
  readonly isLegacy: boolean;
}

/**
 * What LlamaTokenizer did where the file doesn't say, until transformers 5 took an absent key for false: then a prompt has
 * no <s>, and the text behind each special token loses a piece.
 */
const IMPLIED = { add_bos_token: true, add_eos_token: false, legacy: true };

export function repairTokenizerConfig(
  file: JsonFile | undefined,
  names: SpecialNames,
  vocabulary: Vocabulary | null,
  facts: TokenizerKind,
  remarks: Remarks,
): TokenFiles["config"] {
  const fileName = "tokenizer_config.json";
  if (file === undefined) return makeConfig(fileName, names, vocabulary, facts, remarks);
  const draft = new JsonDraft(file, tokenizerConfigSchema);
  const { tokenizer_class: name } = draft.value;
  if (name?.startsWith("LLaMATokenizer")) {
    const renamed = name.replace("LLaMA", "Llama");
    draft.set(["tokenizer_class"], renamed);
    remarks.notes.push(`${fileName}: ${name} is ${renamed} since transformers 4.28.`);
  }
  fillBlanks(fileName, draft, names, remarks);
  const isLlamaTokenizer = draft.value.tokenizer_class?.startsWith("LlamaTokenizer") === true;
  if (isLlamaTokenizer && facts.isLegacy) writeImplied(fileName, draft, remarks);
  return draft;
}

function writeImplied(fileName: string, draft: NonNullable<TokenFiles["config"]>, { notes }: Remarks): void {
  const absent = Object.entries(IMPLIED).filter(([key]) => draft.value[key] == null);
  if (absent.length === 0) return;
  for (const [key, value] of absent) draft.set([key], value);
  const list = absent.map(([key, value]) => `${key} ${value}`).join(", ");
  notes.push(`${fileName}: ${list} added, as transformers 4 implies; version 5 takes them for false.`);
}

/** Without a vocabulary it is for the tokenizer.model that the user adds. */
function makeConfig(
  fileName: string,
  { bos_token, eos_token, unk_token }: SpecialNames,
  vocabulary: Vocabulary | null,
  { isLlama, maxPositions }: ModelFacts,
  { notes, warnings }: Remarks,
): TokenFiles["config"] {
  const make = (how: string, value: object) => {
    notes.push(`${fileName} was missing: written ${how}.`);
    return new JsonDraft({ path: fileName, text: formatJson(value) }, tokenizerConfigSchema);
  };
  const model_max_length = maxPositions ?? DEFAULT_CONTEXT_TOKENS;
  if (vocabulary?.from === "tokenizer.json") {
    // For one of any kind: it says everything but the roles of the special tokens.
    return make("to read tokenizer.json", {
      bos_token,
      clean_up_tokenization_spaces: false,
      eos_token,
      model_max_length,
      tokenizer_class: "PreTrainedTokenizerFast",
      unk_token,
    });
  }
  if (isLlama !== false && eos_token !== null) {
    const marked = (name: string | null) => name && { __type: "AddedToken", ...addedToken(name) };
    return make("as in Vicuna v1.1", {
      add_bos_token: IMPLIED.add_bos_token,
      add_eos_token: IMPLIED.add_eos_token,
      bos_token: marked(bos_token),
      clean_up_tokenization_spaces: false,
      eos_token: marked(eos_token),
      legacy: IMPLIED.legacy,
      model_max_length,
      pad_token: null,
      padding_side: "right",
      sp_model_kwargs: {},
      tokenizer_class: "LlamaTokenizer",
      unk_token: marked(unk_token),
    });
  }
  if (vocabulary !== null) {
    warnings.push(`the target has no ${fileName}, and its tokenizer's class is unknown: add the file.`);
  }
  return null;
}

/** As early transformers wrote every special token. */
function addedToken(content: string) {
  return { content, lstrip: false, normalized: true, rstrip: false, single_word: false };
}

/** Makes the map that FastChat's FAQ asks for where it has to be made: with LLaMA's names that very file, 411 bytes. */
export function repairTokensMap(
  file: JsonFile | undefined,
  names: SpecialNames,
  config: TokenFiles["config"],
  { isFast }: TokenizerKind,
  remarks: Remarks,
): TokenFiles["map"] {
  const fileName = "special_tokens_map.json";
  const draft = file === undefined ? null : new JsonDraft(file, specialTokensMapSchema);
  const fault = faultOf(draft?.value, names);
  if (draft !== null && fault === null) {
    fillBlanks(fileName, draft, names, remarks);
    return draft;
  }
  const nameOf = (key: keyof SpecialNames) => contentOf(config?.value[key]) || names[key];
  // What reads a tokenizer.json reads its tokens in tokenizer_config.json, and transformers 5 writes no map.
  if (draft === null && isFast && contentOf(config?.value.eos_token)) return null;
  if (nameOf("eos_token") === null) {
    if (draft === null && config !== null) {
      remarks.warnings.push(
        `the target has no ${fileName}, and its tokens are unknown: generation may not stop.`,
      );
    }
    return draft;
  }
  remarks.notes.push(
    `${fileName} ${fault}: written as FastChat's FAQ asks, so that generation stops at ${nameOf("eos_token")}.`,
  );
  // Other keys of an empty map stay.
  const hasOthers = fault === "was empty" && Object.keys(draft?.value ?? {}).length > 0;
  const text = (hasOthers && draft?.text) || "{}\n";
  const map = new JsonDraft({ path: file?.path ?? fileName, text }, specialTokensMapSchema);
  for (const key of KEYS) {
    const name = nameOf(key);
    if (name !== null) map.set([key], addedToken(name));
  }
  return map;
}

/** Why a map has to be written anew; null if it hasn't. */
function faultOf(map: SpecialTokensMap | undefined, { bos_token: bos }: SpecialNames): string | null {
  if (map === undefined) return "was missing";
  if (KEYS.every((key) => map[key] === undefined)) return "was empty";
  // 96 bytes.
  const isWrong = Object.keys(map).length === 4 && contentOf(map.pad_token) === "[PAD]" && isAllEos(map);
  return isWrong && bos !== null && bos !== "</s>"
    ? "was the wrong one of the first days, with </s> for everything"
    : null;
}

function isAllEos(tokens: SpecialTokensMap): boolean {
  return KEYS.every((key) => contentOf(tokens[key]) === "</s>");
}

function fillBlanks(
  fileName: string,
  draft: NonNullable<TokenFiles["config"] | TokenFiles["map"]>,
  names: SpecialNames,
  { notes, warnings }: Remarks,
): void {
  const filled: string[] = [];
  const unknown: string[] = [];
  // The wrong map's content reaches the config where such a tokenizer was loaded and saved again.
  const isWrong = isAllEos(draft.value) && names.bos_token !== "</s>";
  for (const key of KEYS) {
    const value = draft.value[key];
    const name = names[key];
    if (contentOf(value) !== "" && !(isWrong && key !== "eos_token")) continue;
    if (name === null) {
      unknown.push(key);
      continue;
    }
    draft.set(typeof value === "string" ? [key] : [key, "content"], name);
    filled.push(`${key} ${name}`);
  }
  if (filled.length > 0) {
    notes.push(
      `${fileName}: blank or wrong in old conversions, now ${filled.join(", ")}; else generation never stops.`,
    );
  }
  if (unknown.length > 0) {
    warnings.push(`${fileName}: ${unknown.join(" and ")} blank, and the right value is unknown.`);
  }
}
