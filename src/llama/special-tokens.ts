/**
 * The special tokens the model was trained with. Old conversions of LLaMA left them blank or wrong in
 * special_tokens_map.json and tokenizer_config.json; then generation never stops (FastChat
 * `docs/vicuna_weights_version.md`, "Tokenizer issues", and its issues #408, #433, #466, #514).
 */
import { formatJson, type JsonDraft } from "../files/json-draft.js";
import { contentOf, type SpecialTokensMap, type TokenizerConfig } from "./tokenizer-files.js";

const ROLES = ["bos", "eos", "unk"] as const;

type Role = (typeof ROLES)[number];

/** The names of bos, eos and unk; null if unknown. */
export type SpecialNames = Readonly<Record<Role, string | null>>;

function keyOf(role: Role): `${Role}_token` {
  return `${role}_token`;
}

/** As early transformers wrote every special token. */
function addedToken(content: string): Record<string, string | boolean> {
  return { content, lstrip: false, normalized: true, rstrip: false, single_word: false };
}

/** The map that FastChat's FAQ asks for; with LLaMA's names it is that very file, 411 bytes. */
export function faqMap(names: SpecialNames): Record<string, Record<string, string | boolean>> {
  const known = ROLES.flatMap((role) => {
    const name = names[role];
    return name === null ? [] : [[keyOf(role), addedToken(name)] as const];
  });
  return Object.fromEntries(known);
}

/**
 * A tokenizer_config.json for LLaMA pieces, as Vicuna v1.1 has it, plus `legacy`: how transformers tokenized
 * behind special tokens when Vicuna was trained. Versions differ in their default.
 */
export function llamaTokenizerConfigText(names: SpecialNames, maxPositions: number): string {
  const marked = (name: string | null) =>
    name === null ? null : { __type: "AddedToken", ...addedToken(name) };
  return formatJson({
    add_bos_token: true,
    add_eos_token: false,
    bos_token: marked(names.bos),
    clean_up_tokenization_spaces: false,
    eos_token: marked(names.eos),
    legacy: true,
    model_max_length: maxPositions,
    pad_token: null,
    padding_side: "right",
    sp_model_kwargs: {},
    tokenizer_class: "LlamaTokenizer",
    unk_token: marked(names.unk),
  });
}

/** For a tokenizer.json of any kind, which says everything but the roles of the special tokens. */
export function fastTokenizerConfigText({ bos, eos, unk }: SpecialNames, maxPositions: number): string {
  return formatJson({
    bos_token: bos,
    clean_up_tokenization_spaces: false,
    eos_token: eos,
    model_max_length: maxPositions,
    tokenizer_class: "PreTrainedTokenizerFast",
    unk_token: unk,
  });
}

/** The 96-byte map of the first days: `</s>` for everything but pad. */
export function isWrongMap(map: SpecialTokensMap): boolean {
  return Object.keys(map).length === 4 && contentOf(map.pad_token) === "[PAD]" && isAllEos(map);
}

/** Whether a map says nothing of bos, eos and unk, as `{}` in some old conversions. */
export function isEmptyMap(map: SpecialTokensMap): boolean {
  return ROLES.every((role) => map[keyOf(role)] === undefined);
}

function isAllEos(tokens: SpecialTokensMap | TokenizerConfig): boolean {
  return ROLES.every((role) => contentOf(tokens[keyOf(role)]) === "</s>");
}

/** Fills in blank tokens. Returns what was filled in, and the keys whose right value is unknown. */
export function fillBlankTokens(
  draft: JsonDraft<SpecialTokensMap> | JsonDraft<TokenizerConfig>,
  names: SpecialNames,
): { readonly filled: readonly string[]; readonly unknown: readonly string[] } {
  const filled: string[] = [];
  const unknown: string[] = [];
  // The wrong map's content reaches the config where such a tokenizer was loaded and saved again.
  const allEos = isAllEos(draft.value) && names.bos !== "</s>";
  for (const role of ROLES) {
    const key = keyOf(role);
    const value = draft.value[key];
    const content = contentOf(value);
    const isBlank = content === "" || (content !== null && allEos && role !== "eos");
    if (!isBlank) continue;
    const name = names[role];
    if (name === null) {
      unknown.push(key);
      continue;
    }
    draft.set(typeof value === "string" ? [key] : [key, "content"], name);
    filled.push(`${key} ${name}`);
  }
  return { filled, unknown };
}
