/**
 * A target's model card. It names what was merged, and never a path of the user's machine or the target's folder, so
 * that one merge gives the same bytes wherever it is made.
 */
import { basename, dirname, extname, resolve } from "node:path";

export interface ModelOrigin {
  readonly path: string;
  /** Null for a local path. */
  readonly hub: { readonly repository: string; readonly commit: string } | null;
}

export interface ModelCardFacts {
  readonly base: ModelOrigin;
  readonly delta: ModelOrigin;
  readonly scale: number;
  /** The base check's sentence; null if it was skipped. */
  readonly baseCheck: string | null;
  /** The release's name and compatibility; null if it isn't recognized. */
  readonly release: string | null;
}

export function modelCard({ base, delta, scale, baseCheck, release }: ModelCardFacts): string {
  const isPart = scale !== 1;
  const factor = isPart ? `${scale} * ` : "";
  const lines = [
    ...cardHead(base),
    "",
    `# ${modelName(base)} + ${factor}${modelName(delta)}`,
    "",
    `Made by vicuna-apply-delta: target = base + ${factor}delta.`,
    "",
    `- base: ${describeOrigin(base)}`,
    `- delta: ${describeOrigin(delta)}${isPart ? `, applied in part (scale ${scale})` : ""}`,
    ...(release === null ? [] : [`- release: ${release}`]),
    `- base check: ${baseCheck ?? "skipped"}`,
    "",
    "The weights are derived from LLaMA: its licence applies to them.",
  ];
  return `${lines.join("\n")}\n`;
}

/** What the Hub reads of a card. A local base has no name there. */
export function cardHead({ hub }: ModelOrigin): string[] {
  const baseModel = hub === null ? [] : [`base_model: ${hub.repository}`];
  return ["---", "library_name: transformers", ...baseModel, "---"];
}

function describeOrigin(origin: ModelOrigin): string {
  return modelName(origin) + (origin.hub === null ? "" : `, commit ${origin.hub.commit}`);
}

/** The repository; for a local model the name of its folder, and of the file if the path is one. */
export function modelName({ path, hub }: ModelOrigin): string {
  if (hub !== null) return hub.repository;
  const real = resolve(path);
  const isFile = [".safetensors", ".bin", ".pt", ".pth", ".json"].includes(extname(real));
  return isFile ? `${basename(dirname(real))}/${basename(real)}` : basename(real);
}
