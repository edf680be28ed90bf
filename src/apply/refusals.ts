/** Merges that are refused before a byte is written: what is given can't be a base, a delta, or make a whole target. */
import { resolve } from "node:path";
import type { BaseCheck } from "../base-check/documents.js";
import { ApplyDeltaError } from "../errors.js";
import type { ReadRequest } from "../hub/models.js";
import { readAsset, type VocabularyFile } from "../llama/assets.js";
import { nameOf, titleOf } from "../llama/describe.js";
import type { Release } from "../llama/documents.js";
import { CONFIG } from "../llama/file-names.js";
import { parseModelConfig } from "../llama/model-config.js";
import { recognizeRelease } from "../llama/recognize.js";
import { RELEASES } from "../llama/releases.js";
import { embeddingOf, LM_HEAD } from "../llama/tensor-names.js";
import type { MergePlan } from "../merge/merge-plan.js";
import type { PlannedFiles } from "../merge/plan-files.js";
import { configFaults } from "../verify/check-structure.js";
import { listFaults } from "../verify/outcome.js";

/**
 * Refuses a release that can't take the side it is given for, by its repository's name: before up to 27 GB are
 * downloaded for nothing. A folder elsewhere may have any name, and is judged by its weights. Errors: `not-a-delta`,
 * `wrong-base`.
 */
export function refuseMisplacedRelease([base, delta]: readonly [ReadRequest, ReadRequest]): void {
  const [asBase, asDelta] = [releaseOf(base), releaseOf(delta)];
  if (asBase?.kind === "delta") throw deltaAsBase(base, asBase);
  if (asDelta?.kind === "merged") throw mergedAsDelta(delta, asDelta);
}

/** Null where the repository's name doesn't tell. */
function releaseOf(request: ReadRequest): Release | null {
  const reference = "path" in request ? resolve(request.path) : request.wanted.repository;
  const named = { reference, config: null, embedShape: null, shards: [], isDelta: false };
  const { recognized } = recognizeRelease(named);
  return recognized?.clue === "repository" ? recognized.release : null;
}

function deltaAsBase({ reference }: ReadRequest, release: Release): ApplyDeltaError {
  return new ApplyDeltaError("wrong-base", `${nameOf(release)} is a delta, not a base.`, {
    file: reference,
    expected: "the original model as the base",
    got: `${titleOf(release)}, released as a delta`,
    hint: `Give ${release.base} as --base, and the delta as --delta. To apply it all the same, add --force.`,
  });
}

function mergedAsDelta(request: ReadRequest, release: Release): ApplyDeltaError {
  const deltas = RELEASES.filter(({ kind, size }) => kind === "delta" && size === release.size);
  const names = deltas.map(({ repository }) => repository).join(" and ");
  const others =
    names === "" ? `There is no delta of ${release.size}.` : `The deltas of ${release.size} are ${names}.`;
  return new ApplyDeltaError("not-a-delta", `${nameOf(release)} is a complete model, not a delta.`, {
    file: request.reference,
    expected: "a delta",
    got: `${titleOf(release)}, released merged`,
    hint: `Use it as it is: it needs no base. ${others} To apply it all the same, add --force.`,
  });
}

/** Refuses sides without a number that could be added, before gigabytes are written. Errors: `not-finite`, `damaged-weights`. */
export function refuseHollowSides({ tensors, statistics, verdict, cause }: BaseCheck): void {
  const isNaNThroughout = tensors.length > 0 && tensors.every((tensor) => tensor.verdict === "not-finite");
  if (isNaNThroughout && statistics.sampled === 0) {
    const { side, files = [], tensors: names = [], offsetBytes } = cause ?? { side: null };
    const message = `No sum is finite: the ${side ?? "base or delta"} is NaN or infinite.`;
    throw new ApplyDeltaError("not-finite", message, {
      file: files[0],
      tensor: names[0],
      offsetBytes,
      expected: "finite numbers on both sides",
      got: `no finite pair in ${tensors.length} tensors`,
      hint: `It was saved so: by a training run that diverged, or a conversion that overflowed. Get the ${side ?? "model"} from elsewhere. To merge all the same, add --force.`,
    });
  }
  if (verdict === "zero-delta" && statistics.baseRms === 0) {
    throw new ApplyDeltaError("damaged-weights", "Base and delta are zeros throughout.", {
      expected: "weights",
      got: `${statistics.sampled} zeros on both sides`,
      hint: "The files were allocated and never filled: let the downloads finish. To merge all the same, add --force.",
    });
  }
}

/** Refuses a target whose config.json or tokenizer `verify` would fail. Errors: `config-mismatch`, `bad-json`. */
export function refuseMisfit({ tensors }: MergePlan, { files, vocabulary }: PlannedFiles): void {
  if (vocabulary !== null) refuseMoreTokens(vocabulary, embeddingOf(tensors)?.shape[0] ?? null);
  const file = readAsset(files, CONFIG);
  if (file === null) return;
  const config = parseModelConfig(file);
  const faults = configFaults(config, tensors);
  if (faults.length === 0) return;
  const lacksHead = !config.tieWordEmbeddings && faults[0]?.startsWith(LM_HEAD) === true;
  throw new ApplyDeltaError("config-mismatch", "config.json does not fit the tensors of the target.", {
    file: file.path,
    got: listFaults(faults),
    hint: lacksHead
      ? 'If the model ties its head to its embedding, write "tie_word_embeddings": true into config.json; otherwise a shard is missing.'
      : "Copy config.json from where the delta was released, or correct it.",
  });
}

/** A token without a row ends a loader's run as soon as it occurs. */
function refuseMoreTokens({ path, size }: VocabularyFile, rows: number | null): void {
  if (rows === null || size <= rows) return;
  throw new ApplyDeltaError("config-mismatch", "The tokenizer has more tokens than the model has rows.", {
    file: path,
    expected: `at most ${rows} tokens`,
    got: `${size}`,
    hint: "It belongs to another version: copy the tokenizer's files from where the delta was released.",
  });
}
