/** Whether base and tuned model are exchanged: their weights can't tell, their configs may. */
import { basename } from "node:path";
import { type Checkpoint, configOf } from "../formats/open.js";
import type { ModelConfig } from "../llama/documents.js";
import { formatExact } from "../units.js";

type Side = Pick<Checkpoint, "config" | "folder">;

/** A sentence where something speaks for it; null where nothing does. More rows in the base are an error of their own. */
export function swapDoubt(base: Side, tuned: Side): string | null {
  const clue = contextClue(configOf(base), configOf(tuned)) ?? nameClue(base, tuned);
  if (clue === null) return null;
  return `base and tuned model look exchanged: ${clue}. Give the original model as --base, the one made from it as --tuned.`;
}

function contextClue(base: ModelConfig | null, tuned: ModelConfig | null): string | null {
  const [ofBase, ofTuned] = [contextTokens(base), contextTokens(tuned)];
  if (ofBase === null || ofTuned === null || ofBase <= ofTuned) return null;
  return `the base's context is ${formatExact(ofBase)} tokens, the tuned model's ${formatExact(ofTuned)}, and tuning never shortens it`;
}

function contextTokens(config: ModelConfig | null): number | null {
  if (config === null || config.maxPositionEmbeddings === null) return null;
  return Math.max(
    config.maxPositionEmbeddings * (config.ropeScaling?.factor ?? 1),
    config.maxSequenceLength ?? 0,
  );
}

/** A tuned model's config names the model it was loaded from. */
function nameClue(base: Side, tuned: Side): string | null {
  const from = configOf(base)?.nameOrPath?.split(/[/\\]/).at(-1);
  const isFromTuned = from === basename(tuned.folder) && from !== basename(base.folder);
  return isFromTuned ? `the base's config.json says that it was loaded from ${from}` : null;
}
