/**
 * Refuses a release that can't take the side it is given for, by its repository's name: before up to 27 GB are
 * downloaded for nothing. A folder elsewhere may have any name, and is judged by its weights.
 */
import { resolve } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { ReadRequest } from "../hub/models.js";
import { nameOf, titleOf } from "../llama/describe.js";
import type { Release } from "../llama/documents.js";
import { recognizeRelease } from "../llama/recognize.js";
import { RELEASES } from "../llama/releases.js";

/** Errors: `not-a-delta`, `wrong-base`. */
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
