/** Makes config.json and generation_config.json true to the tensors and the tokenizer, and changes nothing else. */
import { z } from "zod";
import { JsonDraft, type JsonFile } from "../files/json-draft.js";
import { configFileSchema, tokenIdFields } from "./model-config.js";
import type { SpecialRole } from "./sentencepiece.js";

const generationConfigSchema = z.looseObject(tokenIdFields);

/** The ids the tokenizer gives its special tokens; null if it doesn't say. A pad only if it names a token for it. */
export type SpecialIds = Readonly<Record<SpecialRole, number | null>>;

export interface ConfigFacts {
  /** Rows of the target's embedding; null if it has none. */
  readonly rows: number | null;
  /** As config.json spells it: `float16`, … */
  readonly torchDType: string;
  /** Null if there is no tokenizer. */
  readonly ids: SpecialIds | null;
}

/** Returns the text, and adds a note for each change. Errors: `bad-json`. */
export function repairConfig(file: JsonFile, facts: ConfigFacts, notes: string[]): string {
  const { rows, torchDType } = facts;
  const draft = new JsonDraft(file, configFileSchema);
  const set = (key: string, value: string | number) => {
    draft.set([key], value);
    notes.push(`config.json: ${key} set to ${value} to match the tensors.`);
  };
  // transformers 5 writes `dtype`, earlier ones `torch_dtype`; whichever is there is kept true.
  const present = (["torch_dtype", "dtype"] as const).filter((key) => draft.value[key] != null);
  for (const key of present.length > 0 ? present : (["torch_dtype"] as const)) {
    if (draft.value[key] !== torchDType) set(key, torchDType);
  }
  if (rows !== null && draft.value.vocab_size !== rows) set("vocab_size", rows);
  // The spelling before transformers 4.28 (FastChat #352, #577).
  for (const [at, name] of (draft.value.architectures ?? []).entries()) {
    if (!name.startsWith("LLaMA")) continue;
    const renamed = name.replace("LLaMA", "Llama");
    draft.set(["architectures", at], renamed);
    notes.push(`config.json: ${name} is ${renamed} since transformers 4.28.`);
  }
  repairIds(draft, "config.json", facts, notes);
  return draft.text;
}

type IdFacts = Pick<ConfigFacts, "rows" | "ids">;

/** Returns the text, and adds a note for each change. Errors: `bad-json`. */
export function repairGenerationConfig(file: JsonFile, facts: IdFacts, notes: string[]): string {
  const draft = new JsonDraft(file, generationConfigSchema);
  repairIds(draft, "generation_config.json", facts, notes);
  return draft.text;
}

/**
 * Old conversions say bos 0, eos 1, pad -1. LLaMA's ids are 1, 2 and, since it has no pad, that of unk, 0, as in
 * Vicuna 13B v1.1. An id is wrong if it has no row or is that of another special token; any other may be meant (a chat
 * model's end of turn).
 */
function repairIds(
  draft: JsonDraft<z.infer<typeof generationConfigSchema>>,
  fileName: string,
  { rows, ids }: IdFacts,
  notes: string[],
): void {
  if (ids === null) return;
  const isRow = (id: number) => id >= 0 && (rows === null || id < rows);
  const isOther = (id: number) => isRow(id) && ![ids.bos, ids.eos, ids.unk].includes(id);
  const rules = [
    { key: "bos_token_id", right: ids.bos, mayBe: isOther },
    { key: "eos_token_id", right: ids.eos, mayBe: isOther },
    // Any token may pad, unless the tokenizer says which.
    { key: "pad_token_id", right: ids.pad ?? ids.unk, mayBe: ids.pad === null ? isRow : () => false },
  ] as const;
  for (const { key, right, mayBe } of rules) {
    const list = [draft.value[key] ?? []].flat();
    if (right === null || list.includes(right) || list.every(mayBe)) continue;
    draft.set([key], right);
    notes.push(`${fileName}: ${key} was ${list.join(", ")}, the tokenizer says ${right}.`);
  }
}
