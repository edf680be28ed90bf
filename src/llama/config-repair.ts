/**
 * In: `config.json` or `generation_config.json`, what the tensors are and which ids the tokenizer gives its
 * special tokens. Out: the same text, true to both, with a line for each change.
 * Guards: only what is wrong changes.
 */
import { z } from "zod";
import { listOf } from "../files/bounded-json.js";
import { JsonDraft, type JsonFile } from "../files/json-draft.js";

/** A model has one; each that is misspelt is mended by itself. */
const MAX_ARCHITECTURES = 16;

const architectureList = listOf(z.string()).refine((names) => names.length <= MAX_ARCHITECTURES, {
  error: `more than ${MAX_ARCHITECTURES}`,
});

const ids = z.union([z.number().int(), listOf(z.number().int())]).nullish();

const tokenIds = { bos_token_id: ids, eos_token_id: ids, pad_token_id: ids };

const generationConfigSchema = z.looseObject(tokenIds);

const configSchema = z.looseObject({
  ...tokenIds,
  vocab_size: z.number().int().nonnegative().optional(),
  torch_dtype: z.string().nullish(),
  dtype: z.string().nullish(),
  architectures: architectureList.nullish(),
  model_type: z.string().optional(),
  max_position_embeddings: z.number().int().positive().nullish(),
});

/** The fields that are mended, as the file has them; `model-config.ts` has what the program reads. */
export type RawConfig = z.infer<typeof configSchema>;

/** The ids the tokenizer gives its special tokens; null where it doesn't tell. */
export interface SpecialIds {
  readonly bos: number | null;
  readonly eos: number | null;
  readonly unk: number | null;
  /** Null unless the tokenizer names a token for padding. */
  readonly pad: number | null;
}

export interface ConfigFacts {
  /** Rows of the target's embedding; null where it has none. */
  readonly rows: number | null;
  /** As config.json spells it: `float16`, … */
  readonly torchDType: string;
  /** Null where there is no tokenizer. */
  readonly ids: SpecialIds | null;
}

export interface Mended {
  readonly text: string;
  readonly notes: readonly string[];
}

/** Errors: `bad-json`. */
export function readConfig(file: JsonFile): RawConfig {
  return new JsonDraft(file, configSchema).value;
}

/** Whether LLaMA's pieces and special tokens may be taken for granted. LLaVA's language model is a LLaMA. */
export function isLlama({ model_type, architectures }: RawConfig): boolean {
  return (
    model_type === "llama" || model_type === "llava" || /^(?:l+ama|llava)/i.test(architectures?.[0] ?? "")
  );
}

/** Errors: `bad-json`. */
export function mendConfig(file: JsonFile, { rows, torchDType, ids: special }: ConfigFacts): Mended {
  const draft = new JsonDraft(file, configSchema);
  const notes: string[] = [];
  const set = (key: string, value: string | number) => {
    draft.set([key], value);
    notes.push(`config.json: ${key} set to ${value}, as the tensors are.`);
  };
  // transformers 5 writes `dtype`, earlier ones `torch_dtype`; whichever is there is kept true.
  const present = (["torch_dtype", "dtype"] as const).filter((key) => draft.value[key] != null);
  for (const key of present.length > 0 ? present : (["torch_dtype"] as const)) {
    if (draft.value[key] !== torchDType) set(key, torchDType);
  }
  if (rows !== null && draft.value.vocab_size !== rows) set("vocab_size", rows);
  // How the class was spelled before transformers 4.28 (FastChat #352, #577).
  for (const [at, name] of (draft.value.architectures ?? []).entries()) {
    if (!name.startsWith("LLaMA")) continue;
    const right = name.replace(/^LLaMA/, "Llama");
    draft.set(["architectures", at], right);
    notes.push(`config.json: ${name} is ${right} since transformers 4.28.`);
  }
  if (special !== null) mendIds(draft, "config.json", special, rows, notes);
  return { text: draft.text, notes };
}

/** Errors: `bad-json`. */
export function mendGenerationConfig(
  file: JsonFile,
  special: SpecialIds | null,
  rows: number | null,
): Mended {
  const draft = new JsonDraft(file, generationConfigSchema);
  const notes: string[] = [];
  if (special !== null) mendIds(draft, "generation_config.json", special, rows, notes);
  return { text: draft.text, notes };
}

/**
 * Old conversions say bos 0, eos 1, pad -1: LLaMA's ids are 1, 2 and, since it has no pad, that of unk, 0, as
 * `config.json` of Vicuna 13B v1.1 has it. An id is wrong if it has no row or is that of another special token;
 * any other may be meant (a chat model's end of turn).
 */
function mendIds(
  draft: JsonDraft<z.infer<typeof generationConfigSchema>>,
  fileName: string,
  special: SpecialIds,
  rows: number | null,
  notes: string[],
): void {
  const hasRow = (id: number) => id >= 0 && id < (rows ?? Number.POSITIVE_INFINITY);
  const others = (right: number) => [special.bos, special.eos, special.unk].filter((id) => id !== right);
  const rules = [
    { key: "bos_token_id", right: special.bos, isOther: others },
    { key: "eos_token_id", right: special.eos, isOther: others },
    // Any token may pad, unless the tokenizer says which.
    { key: "pad_token_id", right: special.pad ?? special.unk, isOther: () => [] },
  ] as const;
  for (const { key, right, isOther } of rules) {
    const value = draft.value[key];
    if (right === null || value === null || value === undefined) continue;
    const list = Array.isArray(value) ? value : [value];
    const disagrees = key === "pad_token_id" && special.pad !== null;
    const isRight =
      list.includes(right) || (!disagrees && list.every((id) => hasRow(id) && !isOther(right).includes(id)));
    if (isRight) continue;
    draft.set([key], right);
    notes.push(`${fileName}: ${key} was ${list.join(", ")}, the tokenizer says ${right}.`);
  }
}
