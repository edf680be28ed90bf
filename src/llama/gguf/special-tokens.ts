/**
 * Which tokens begin, end and pad a text, and whether they are added to it: as `SpecialVocab` of llama.cpp's converter
 * reads it off a tokenizer's files (`gguf-py/gguf/vocab.py`).
 */
import * as z from "zod";
import { JsonDraft, type JsonFile, listOf } from "../../files/json-draft.js";
import { contentOf, SPECIAL_TOKENS, type TokenFiles } from "../tokenizer-files.js";
import { bool, ifSet, type KeyValue, u32 } from "./key-values.js";

/** A role of a token, and what llama.cpp calls it; it has no key for `cls`. */
const ROLES = {
  bos: "bos",
  eos: "eos",
  unk: "unknown",
  sep: "seperator",
  pad: "padding",
  mask: "mask",
  eot: "eot",
} as const;

type Role = keyof typeof ROLES | "cls";
type Token = Parameters<typeof contentOf>[0];
type RoleTokens = Partial<Record<Role, Token>>;

/** The tokens that can be added to every text. */
const ADDABLE = ["bos", "eos", "sep"] as const;
type Adds = Partial<Record<(typeof ADDABLE)[number], boolean>>;

/** `modelConfig`: config.json. Errors: `bad-json`. */
export function specialTokenValues(
  { config, tokenizerJson }: Pick<TokenFiles, "config" | "tokenizerJson">,
  modelConfig: JsonFile,
  rows: number,
): KeyValue[] {
  const tokens = tokensOf(config);
  const adds: Adds = tokenizerJson === null ? {} : readTemplates(tokenizerJson, tokens, config !== null);
  const ofModel = new JsonDraft(modelConfig, z.looseObject({})).value;
  const added = tokenizerJson?.value.added_tokens ?? [];
  const idOf = (role: Role) => {
    const content = config === null ? null : contentOf(tokens[role]);
    const ids = [added.find((token) => token.content === content)?.id, ofModel[`${role}_token_id`]];
    // Old configs name -1 for a token that doesn't exist.
    return (
      ids.find((id): id is number => Number.isInteger(id) && Number(id) >= 0 && Number(id) < rows) ?? null
    );
  };
  const ids = (Object.keys(ROLES) as (keyof typeof ROLES)[])
    .filter((role) => role !== "eot" || tokens.eot !== undefined)
    .flatMap((role) => ifSet(u32, `tokenizer.ggml.${ROLES[role]}_token_id`, idOf(role)));
  for (const role of ADDABLE) {
    const add = config?.value[`add_${role}_token`];
    if (typeof add === "boolean") adds[role] ??= add;
  }
  const flags = Object.entries(adds).map(([role, add]) => bool(`tokenizer.ggml.add_${role}_token`, add));
  return [...ids, ...flags];
}

function tokensOf(config: TokenFiles["config"]): RoleTokens {
  return Object.fromEntries(SPECIAL_TOKENS.map((key) => [key.replace("_token", ""), config?.value[key]]));
}

const step = z.looseObject({
  SpecialToken: z.looseObject({ id: z.string() }).optional(),
  Sequence: z.looseObject({ id: z.string() }).optional(),
});

/** Only `TemplateProcessing` has them. */
const processor = z.looseObject({ single: listOf(step).nullish(), pair: listOf(step).nullish() });

const processorsSchema = z.looseObject({
  post_processor: processor.extend({ processors: listOf(processor).nullish() }).nullish(),
});

/**
 * What tokenizer.json adds to a text, and to a pair of them. Its templates are believed more than tokenizer_config.json:
 * where they begin or end with another token, that one gets the role.
 */
function readTemplates(
  { path, text, value }: NonNullable<TokenFiles["tokenizerJson"]>,
  tokens: RoleTokens,
  hasConfig: boolean,
): Adds {
  const { post_processor: post } = new JsonDraft({ path, text }, processorsSchema, value).value;
  const adds: Adds = {};
  tokens.bos ||= tokens.cls;
  tokens.eos ||= tokens.sep;
  for (const { single, pair } of post?.processors ?? (post == null ? [] : [post])) {
    const isTemplate = single != null && single.length > 1;
    const first = isTemplate ? single[0]?.SpecialToken?.id : undefined;
    const last = isTemplate ? single.at(-1)?.SpecialToken?.id : undefined;
    if (first !== undefined) adds.bos = claimFirst(first, tokens, hasConfig);
    if (last !== undefined) {
      if (hasConfig && last !== tokens.eos) tokens.eot = tokens.eos;
      tokens.eos = last;
      adds.eos = true;
    }
    const between = pair == null ? null : betweenPair(pair, first, last);
    if (between === null) continue;
    const separators = between.slice(0, 2).map((each) => each.SpecialToken?.id);
    const isEnd = (id: string | undefined) => id !== undefined && (id === tokens.sep || id === tokens.eos);
    const [one, two] = separators;
    adds.sep = (isEnd(one) && last === undefined) || (between.length === 2 && isEnd(two));
    if (adds.sep) tokens.sep ||= tokens.eos;
  }
  return adds;
}

/** Whether the token that a text begins with is the model's bos; it becomes it where there is none. */
function claimFirst(first: string, tokens: RoleTokens, hasConfig: boolean): boolean {
  if (!hasConfig || !tokens.bos) tokens.bos = first;
  if (first !== tokens.bos && !tokens.cls) tokens.cls = first;
  return first === tokens.bos || first === tokens.cls;
}

/** What stands between the texts A and B of a pair; null where they don't stand at its ends or nothing is between. */
function betweenPair(pair: readonly z.infer<typeof step>[], first?: string, last?: string) {
  const from = first !== undefined && pair[0]?.SpecialToken?.id === first ? 1 : 0;
  const to = last !== undefined && pair.at(-1)?.SpecialToken?.id === last ? -1 : pair.length;
  const inner = pair.slice(from, to);
  if (inner[0]?.Sequence?.id !== "A" || inner.at(-1)?.Sequence?.id !== "B" || inner.length < 3) return null;
  return inner.slice(1, -1);
}
