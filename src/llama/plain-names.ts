/**
 * Names behind a prefix. Wrappers put one before every name (DataParallel `module.`, torch.compile `_orig_mod.`, PEFT
 * `base_model.model.`), larger models keep a LLaMA under `language_model.`, and LlamaModel saves without `model.`.
 */
import type { TensorView } from "../tensor.js";

/** Wrappers that may stand anywhere in a name. */
const INNER_WRAPPERS =
  /(?<=^|\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\./g;

/** What may stand before the decoder's own names; other modules of these names, such as a vision tower, have others. */
const PREFIX = /^(?:(?:module|base_model|model|language_model|llama_model|llm)\.)*$/;

/** Tensors of a LLaMA's decoder that tell the prefix of all. */
const ANCHOR =
  /^(.*?)(?:embed_tokens\.weight|layers\.\d+\.(?:self_attn\.[qkvo]|mlp\.(?:gate|up|down))_proj\.weight)$/;

/** LLaMA's name for each of these, if it isn't the name that they have; null where nothing is to be mapped. */
export function plainNames(names: readonly string[]): ReadonlyMap<string, string> | null {
  const unwrapped = names.map((name) => name.replace(INNER_WRAPPERS, ""));
  const prefixes = new Set(
    unwrapped.flatMap((name) => ANCHOR.exec(name)?.[1] ?? []).filter((prefix) => PREFIX.test(prefix)),
  );
  const [decoder, ...others] = prefixes;
  if (decoder === undefined || others.length > 0) return null;
  // What is before `model.` is before `lm_head.`, too.
  const outer = /^(.*\.)?model\.$/.exec(decoder)?.[1] ?? "";
  const toPlain = (name: string) => {
    if (decoder === "" && name.startsWith("lm_head.")) return name;
    if (name.startsWith(decoder)) return `model.${name.slice(decoder.length)}`;
    return name.startsWith(outer) ? name.slice(outer.length) : name;
  };
  const plain = unwrapped.map(toPlain);
  const isMapped = plain.some((name, i) => name !== names[i]);
  if (!isMapped || new Set(plain).size < names.length) return null;
  return new Map(names.map((name, i) => [name, plain[i] as string]));
}

/** The tensors under LLaMA's names, and a sentence that says so; null where they have them already. */
export function withPlainNames(
  tensors: readonly TensorView[],
): { readonly tensors: TensorView[]; readonly sentence: string } | null {
  const plain = plainNames(tensors.map(({ name }) => name));
  if (plain === null) return null;
  const [from, to] = [...plain].find(([name, mapped]) => name !== mapped) as [string, string];
  return {
    tensors: tensors.map((tensor) => ({ ...tensor, name: plain.get(tensor.name) ?? tensor.name })),
    sentence: `tensors have other names than LLaMA's: ${from} is read as ${to}, and so on`,
  };
}
