import { resolve } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { ReadRequest } from "../hub/models.js";
import { nameOf, titleOf } from "../llama/describe.js";
import { recognizeRelease } from "../llama/recognize.js";
import { RELEASES } from "../llama/releases.js";

/**
 * Refuses a release of whole models that is given as the delta, by its repository's name: before up to 27 GB are
 * downloaded for nothing. A folder elsewhere may have any name, and is judged by its weights. Errors: `not-a-delta`.
 */
export function refuseMergedRelease(request: ReadRequest): void {
  const reference = "path" in request ? resolve(request.path) : request.wanted.repository;
  const named = { reference, config: null, embedShape: null, shards: [], isDelta: false };
  const { recognized } = recognizeRelease(named);
  if (recognized?.clue !== "repository" || recognized.release.kind !== "merged") return;
  const { release } = recognized;
  const deltas = RELEASES.filter(({ kind, size }) => kind === "delta" && size === release.size);
  const names = deltas.map(({ repository }) => repository).join(" and ");
  const others =
    names === "" ? `There is no delta of ${release.size}.` : `The deltas of ${release.size} are ${names}.`;
  throw new ApplyDeltaError("not-a-delta", `${nameOf(release)} is a complete model, not a delta.`, {
    file: request.reference,
    expected: "a delta",
    got: `${titleOf(release)}, released merged`,
    hint: `Use it as it is: it needs no base. ${others} To apply it all the same, add --force.`,
  });
}
