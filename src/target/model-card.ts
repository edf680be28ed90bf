/**
 * In: how the target was made. Out: the text of its model card (README.md), a few lines.
 * Guards: no path of the user's machine gets into it, only the models' own names.
 */
import { basename, dirname, extname, resolve } from "node:path";

export const MODEL_CARD = "README.md";

/** Where a model came from. */
export interface ModelOrigin {
  readonly path: string;
  /** Null for a local path. */
  readonly hub: { readonly repository: string; readonly commit: string } | null;
}

export interface ModelCardFacts {
  readonly target: string;
  readonly base: ModelOrigin;
  readonly delta: ModelOrigin;
  readonly scale: number;
  /** The base check's sentence, or null where it was skipped. */
  readonly baseCheck: string | null;
  /** The release's name and compatibility, or null where it isn't recognised. */
  readonly release: string | null;
}

export function modelCard({ target, base, delta, scale, baseCheck, release }: ModelCardFacts): string {
  const factor = scale === 1 ? "" : `${scale} * `;
  const lines = [
    ...cardHead(base),
    "",
    `# ${basename(target)}`,
    "",
    `Made by vicuna-apply-delta: target = base + ${factor}delta.`,
    "",
    `- base: ${describeOrigin(base)}`,
    `- delta: ${describeOrigin(delta)}${scale === 1 ? "" : `, applied in part (scale ${scale})`}`,
    ...(release === null ? [] : [`- release: ${release}`]),
    `- base check: ${baseCheck ?? "skipped"}`,
    "",
    "The weights are derived from LLaMA: its licence applies to them.",
  ];
  return `${lines.join("\n")}\n`;
}

/** What the Hub reads of a card; a base that is only on this machine has no name there. */
export function cardHead({ hub }: ModelOrigin): string[] {
  const baseModel = hub === null ? [] : [`base_model: ${hub.repository}`];
  return ["---", "library_name: transformers", ...baseModel, "---"];
}

/** A repository and its commit; else the name of the model's folder, whether the path is that or a file in it. */
function describeOrigin({ path, hub }: ModelOrigin): string {
  return hub === null ? folderName(path) : `${hub.repository}, commit ${hub.commit}`;
}

/** The model's own name, without what names this machine. */
export function modelName({ path, hub }: ModelOrigin): string {
  return hub?.repository ?? folderName(path);
}

function folderName(given: string): string {
  const path = resolve(given);
  const isFile = [".safetensors", ".bin", ".pt", ".pth", ".json"].includes(extname(path));
  return isFile ? `${basename(dirname(path))}/${basename(path)}` : basename(path);
}
