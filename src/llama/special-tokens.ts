/**
 * In: `special_tokens_map.json` and `tokenizer_config.json`, or their absence. Out: both, with the special tokens
 * the model was trained with. Old conversions of LLaMA left them blank or wrong; then generation never stops
 * (FastChat `docs/vicuna_weights_version.md`, "Tokenizer issues", and its issues #408, #433, #466, #514).
 */
import { z } from "zod";
import { listOf, recordOf } from "../files/bounded-json.js";
import { formatJson, type JsonDraft } from "../files/json-draft.js";
import { tokenId } from "./vocabulary.js";

/** The names of bos, eos and unk; null where they aren't known. */
export interface SpecialNames {
  readonly bos: string | null;
  readonly eos: string | null;
  readonly unk: string | null;
}

/** A token as transformers writes it: its text, or an AddedToken. */
const token = z.union([z.string(), z.looseObject({ content: z.string() })]);

const tokenKeys = {
  bos_token: token.nullish(),
  eos_token: token.nullish(),
  unk_token: token.nullish(),
  pad_token: token.nullish(),
  additional_special_tokens: listOf(token).nullish(),
};

function isTokenId(key: string): boolean {
  return /^\d+$/.test(key) && tokenId.safeParse(Number(key)).success;
}

export const specialTokensMapSchema = z.looseObject(tokenKeys);

export const tokenizerConfigSchema = z.looseObject({
  ...tokenKeys,
  tokenizer_class: z.string().nullish(),
  added_tokens_decoder: recordOf(z.looseObject({ content: z.string() }))
    .nullish()
    .refine((decoder) => Object.keys(decoder ?? {}).every(isTokenId), {
      error: "a key is no token's id",
    }),
});

export type SpecialTokensMap = z.infer<typeof specialTokensMapSchema>;
export type TokenizerConfig = z.infer<typeof tokenizerConfigSchema>;

const KEYS = { bos: "bos_token", eos: "eos_token", unk: "unk_token" } as const;
const ROLES = ["bos", "eos", "unk"] as const;

/** The text of a token in either form; null where there is none. */
export function contentOf(value: z.infer<typeof token> | null | undefined): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === "string" ? value : value.content;
}

/** As early transformers wrote every special token. */
function addedToken(content: string): Record<string, string | boolean> {
  return { content, lstrip: false, normalized: true, rstrip: false, single_word: false };
}

/** The map FastChat's FAQ asks for; with LLaMA's names the very file, 411 bytes. */
export function specialTokensMapText(names: SpecialNames): string {
  const known = ROLES.flatMap((role) => {
    const name = names[role];
    return name === null ? [] : [[KEYS[role], addedToken(name)] as const];
  });
  return formatJson(Object.fromEntries(known));
}

/**
 * A tokenizer_config.json for LLaMA pieces, as Vicuna v1.1 has it, plus `legacy`: how transformers tokenized
 * behind special tokens when Vicuna was trained; without the key, versions differ in what they take for granted.
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

/** The 96-byte map of the first days: `</s>` for everything but pad. */
export function isWrongMap(map: SpecialTokensMap): boolean {
  return Object.keys(map).length === 4 && contentOf(map.pad_token) === "[PAD]" && isAllEos(map);
}

/** Whether a map says nothing of bos, eos and unk, as `{}` in some old conversions. */
export function isEmptyMap(map: SpecialTokensMap): boolean {
  return ROLES.every((role) => map[KEYS[role]] === undefined);
}

function isAllEos(tokens: Pick<SpecialTokensMap, "bos_token" | "eos_token" | "unk_token">): boolean {
  return ROLES.every((role) => contentOf(tokens[KEYS[role]]) === "</s>");
}

/** Fills in blank tokens. Returns what was mended, and the keys whose right value isn't known. */
export function mendBlankTokens(
  draft: JsonDraft<SpecialTokensMap> | JsonDraft<TokenizerConfig>,
  names: SpecialNames,
): { readonly mended: readonly string[]; readonly unknown: readonly string[] } {
  const mended: string[] = [];
  const unknown: string[] = [];
  // The wrong map's content, taken over into the config by a tokenizer that was saved again.
  const allEos = isAllEos(draft.value) && names.bos !== "</s>";
  for (const role of ROLES) {
    const key = KEYS[role];
    const value = draft.value[key];
    const content = contentOf(value);
    if (content === null || (content !== "" && !(allEos && role !== "eos"))) continue;
    const name = names[role];
    if (name === null) {
      unknown.push(key);
      continue;
    }
    draft.set(typeof value === "string" ? [key] : [key, "content"], name);
    mended.push(`${key} ${name}`);
  }
  return { mended, unknown };
}
