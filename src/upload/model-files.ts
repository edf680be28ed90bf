/**
 * Which names in a folder or a repository belong to a model. A loader would take a stale file beside a new model for a
 * part of it. Other files are neither sent nor touched.
 */
import { ASSET_NAMES, MODEL_CARD } from "../llama/file-names.js";
import { PROVENANCE } from "../target/provenance.js";
import { CHECKSUMS } from "../target/sha256sums.js";

/** Files that say something of a model, and are of no use beside another. */
const RECORDS = [PROVENANCE, CHECKSUMS];

const WEIGHTS = /\.(?:safetensors|bin|pt|pth)(?:\.index\.json)?$/;

/** Whether a loader, or a reader of our records, takes the file for a part of the model beside it. */
export function isModelPart(name: string): boolean {
  if (name.includes("/")) return false;
  return WEIGHTS.test(name) || ASSET_NAMES.includes(name) || RECORDS.includes(name);
}

/** What is sent of a folder. `weights` are the files its model consists of, index included. */
export function filesToSend(names: readonly string[], weights: readonly string[]): string[] {
  const beside = [...ASSET_NAMES, ...RECORDS, MODEL_CARD].filter((name) => names.includes(name));
  return [...weights, ...beside].sort();
}

/** The names in a repository that sending would replace, and parts of another model that would stand beside the new one. */
export function meetFiles(
  inRepository: readonly string[],
  toSend: readonly string[],
): { replaced: string[]; stale: string[] } {
  return {
    replaced: inRepository.filter((name) => toSend.includes(name)),
    stale: inRepository.filter((name) => isModelPart(name) && !toSend.includes(name)),
  };
}
