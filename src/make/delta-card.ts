/** A delta's model card: what it is, and how to apply it. It never names a path of the user's machine. */
import { basename } from "node:path";
import { cardHead, type ModelOrigin, modelName } from "../target/model-card.js";

interface DeltaCardFacts {
  readonly delta: string;
  readonly base: ModelOrigin;
  readonly tuned: ModelOrigin;
  /** Whether applying gives the tuned model back, as a sentence. */
  readonly proof: string;
  readonly applyWith: readonly string[];
  /** How FastChat's apply_delta treats this delta differently, as sentences. */
  readonly fastChatDiffers: readonly string[];
}

export function deltaCard({ delta, base, tuned, proof, applyWith, fastChatDiffers }: DeltaCardFacts): string {
  const names = { delta: basename(delta), base: modelName(base), tuned: modelName(tuned) };
  const options = [
    `--base path/to/${names.base} --delta path/to/${names.delta} --target ${names.tuned}`,
    ...applyWith,
  ];
  return `${cardHead(base).join("\n")}

# ${names.delta}

Delta weights: what was added to ${names.base} to make ${names.tuned}. They are differences, not a model: on their own they produce gibberish, and they hold no weights of the base. To get the model, apply them to your own copy of the base:

\`\`\`
vicuna-apply-delta ${options.join(" ")}
\`\`\`

or with FastChat:

\`\`\`
python3 -m fastchat.model.apply_delta --base-model-path path/to/${names.base} --delta-path path/to/${names.delta} --target-model-path ${names.tuned}
\`\`\`

${fastChatDiffers.length === 0 ? "" : `${fastChatDiffers.join(" ")}\n\n`}Made by vicuna-apply-delta: delta = tuned model - base.

- base: ${names.base}
- tuned model: ${names.tuned}
- way back: ${proof}

If the base is LLaMA, its licence applies to the model these weights give.
`;
}
