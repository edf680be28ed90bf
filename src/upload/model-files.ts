/**
 * Which names in a folder or a repository belong to a model. A loader would take a stale file beside a new model for a
 * part of it. Other files are neither sent nor touched.
 */
import { basename } from "node:path";
import { ggufStem, wholeGgufName } from "../formats/gguf/find-gguf.js";
import type { TargetFormat } from "../formats/table.js";
import { ASSET_NAMES, MODEL_CARD } from "../llama/file-names.js";
import { PROVENANCE } from "../target/provenance.js";
import { CHECKSUMS } from "../target/sha256sums.js";

/** Files that say something of a model, and are of no use beside another. */
const RECORDS = [PROVENANCE, CHECKSUMS];

/** Ollama's description of how to run a GGUF. */
const MODELFILE = "Modelfile";

const WEIGHTS = /\.(?:safetensors|bin|pt|pth)(?:\.index\.json)?$/;

/** Whether a loader, or a reader of our records, takes the file for a part of the model beside it. */
export function isModelPart(name: string): boolean {
  if (name.includes("/")) return false;
  return WEIGHTS.test(name) || ASSET_NAMES.includes(name) || RECORDS.includes(name);
}

/** What is sent of a folder. `weights` are the files its model consists of, index included. */
export function filesToSend(names: readonly string[], weights: readonly string[]): string[] {
  const beside = [...ASSET_NAMES, ...RECORDS, MODEL_CARD, MODELFILE].filter((name) => names.includes(name));
  return [...weights, ...beside].sort();
}

/** What is sent of a GGUF that is a file: its parts, and what lies beside it under its name. */
export function filesBeside(name: string, names: readonly string[], parts: readonly string[]): string[] {
  const whole = wholeGgufName(name);
  const beside = [`${whole}.sha256`, whole.replace(/\.gguf$/, `.${MODELFILE}`)];
  return [...parts, ...beside.filter((each) => names.includes(each))].sort();
}

/**
 * The names in a repository that sending would replace, and parts of another model that would stand beside the new one.
 * A GGUF stands beside other models and other GGUFs, as repositories on the Hub have them.
 */
export function meetFiles(
  inRepository: readonly string[],
  toSend: readonly string[],
  isGguf: boolean,
): { replaced: string[]; stale: string[] } {
  return {
    replaced: inRepository.filter((name) => toSend.includes(name)),
    stale: isGguf ? [] : inRepository.filter((name) => isModelPart(name) && !toSend.includes(name)),
  };
}

/**
 * What sending a target would meet there, before it is made: files that it would replace, or be mixed up with. How many
 * parts a GGUF will have, and in a folder of which dtype it will be, isn't known yet.
 */
export function meetTarget(
  inRepository: readonly string[],
  target: string,
  format: TargetFormat | undefined,
): string[] {
  const name = basename(target);
  const stem = ggufStem(name);
  if (stem !== null)
    return [
      ...inRepository.filter((each) => ggufStem(each) === stem),
      ...filesBeside(name, inRepository, []),
    ];
  const beside = [...RECORDS, MODEL_CARD, MODELFILE];
  const isMet =
    format === "gguf"
      ? (each: string) => beside.includes(each) || ggufStem(each)?.startsWith(`${name}-`) === true
      : (each: string) => isModelPart(each) || each === MODEL_CARD;
  return inRepository.filter(isMet);
}
