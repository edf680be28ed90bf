/** What the configs of base and delta say against each other. Only hints: the base check proves, these explain. */
import type { ModelConfig } from "../llama/documents.js";

/** LLaMA's sizes by the width of the hidden state, as their users call them. */
const SIZE_BY_WIDTH: ReadonlyMap<number, string> = new Map([
  [4096, "7B"],
  [5120, "13B"],
  [6656, "30B (33B)"],
  [8192, "65B or 70B"],
]);

/** `7B`, or `width 1024` for a size that LLaMA doesn't have. */
export function sizeOfWidth(hiddenSize: number): string {
  return SIZE_BY_WIDTH.get(hiddenSize) ?? `width ${hiddenSize}`;
}

/** One clause for each mismatch, such as `the base looks like Llama 2, the delta was made for LLaMA 1 (…)`. */
export function configHints(base: ModelConfig | null, delta: ModelConfig | null): string[] {
  if (base === null || delta === null) return [];
  const hints: string[] = [];
  const differs = <T>(a: T | null, b: T | null) => a !== null && b !== null && a !== b;
  if (base.hiddenSize !== null && delta.hiddenSize !== null && base.hiddenSize !== delta.hiddenSize) {
    hints.push(`the base is ${sizeOfWidth(base.hiddenSize)}, the delta ${sizeOfWidth(delta.hiddenSize)}`);
  }
  if (differs(base.layers, delta.layers)) {
    hints.push(`the base has ${base.layers} layers, the delta ${delta.layers}`);
  }
  const [baseFamily, deltaFamily] = [familyOf(base), familyOf(delta)];
  if (differs(baseFamily?.name ?? null, deltaFamily?.name ?? null)) {
    hints.push(
      `the base looks like ${baseFamily?.name} (${baseFamily?.clue}), the delta was made for ${deltaFamily?.name} (${deltaFamily?.clue})`,
    );
  } else if (differs(base.rmsNormEps, delta.rmsNormEps)) {
    hints.push(`rms_norm_eps is ${base.rmsNormEps} in the base and ${delta.rmsNormEps} in the delta`);
  }
  return hints;
}

/** By the vocabulary and the positions the model was trained with: 2048 in LLaMA 1, 4096 in Llama 2. */
function familyOf(config: ModelConfig): { name: string; clue: string } | null {
  if ((config.vocabSize ?? 0) >= 128_000) return { name: "Llama 3", clue: `${config.vocabSize} tokens` };
  const positions = config.maxPositionEmbeddings ?? config.maxSequenceLength;
  if (positions === 2048) return { name: "LLaMA 1", clue: "2048 positions" };
  if (positions === 4096) return { name: "Llama 2", clue: "4096 positions" };
  return null;
}
