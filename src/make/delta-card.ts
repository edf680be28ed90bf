/**
 * In: how a delta was made. Out: the text of its model card (README.md): what it is, and how to apply it.
 * Guards: no path of the user's machine gets into it, only the models' own names.
 */
import { basename } from "node:path";
import { cardHead, type ModelOrigin, modelName } from "../target/model-card.js";

export interface DeltaCardFacts {
  /** The folder that is made. */
  readonly delta: string;
  readonly base: ModelOrigin;
  readonly tuned: ModelOrigin;
  /** Whether applying gives the tuned model back, as a sentence. */
  readonly proof: string;
  /** Options that applying needs. */
  readonly applyWith: readonly string[];
  /** What FastChat's apply_delta does otherwise with this delta, as sentences. */
  readonly fastChatDiffers: readonly string[];
}

export function deltaCard({ delta, base, tuned, proof, applyWith, fastChatDiffers }: DeltaCardFacts): string {
  const names = { delta: basename(delta), base: modelName(base), tuned: modelName(tuned) };
  const lines = [
    ...cardHead(base),
    "",
    `# ${names.delta}`,
    "",
    `Delta weights: what was added to ${names.base} to make ${names.tuned}. They are differences, no model: used as they are they speak gibberish, and no weights of the base are in them. To get the model, apply them to the base, which you need yourself:`,
    "",
    "```",
    [
      "vicuna-apply-delta",
      `--base path/to/${names.base}`,
      `--delta path/to/${names.delta}`,
      `--target ${names.tuned}`,
      ...applyWith,
    ].join(" "),
    "```",
    "",
    "or with FastChat:",
    "",
    "```",
    `python3 -m fastchat.model.apply_delta --base-model-path path/to/${names.base} --delta-path path/to/${names.delta} --target-model-path ${names.tuned}`,
    "```",
    "",
    ...(fastChatDiffers.length === 0 ? [] : [fastChatDiffers.join(" "), ""]),
    "Made by vicuna-apply-delta: delta = tuned model - base.",
    "",
    `- base: ${names.base}`,
    `- tuned model: ${names.tuned}`,
    `- way back: ${proof}`,
    "",
    "If the base is LLaMA, its licence applies to the model these weights give.",
  ];
  return `${lines.join("\n")}\n`;
}
