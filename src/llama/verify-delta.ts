/** Whether a delta's files are the published ones, by their SHA-256. A single file that differs is an error. */
import { basename } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { FileSha256 } from "../workers/sha256.js";
import { titleOf } from "./describe.js";
import type { PublishedShard, RecognizedRelease, Release } from "./documents.js";
import { RELEASES } from "./releases.js";

export interface DeltaVerification {
  /** `matches`: every file; `partly`: every file with a known checksum; `unknown`: none could be compared. */
  readonly verdict: "matches" | "partly" | "unknown";
  /** The release that the checksums prove, or null. */
  readonly recognized: RecognizedRelease | null;
  readonly sentence: string;
}

/**
 * Compares with the release that a checksum proves, else with the one that was recognised by name.
 * Errors: `delta-altered`.
 */
export function verifyDelta(
  files: readonly FileSha256[],
  recognized: RecognizedRelease | null,
  releases = RELEASES,
): DeltaVerification {
  const proven = releases.filter((release) => files.some((file) => shardWithSum(release, file)));
  if (proven.length > 1) throw mixed(files, proven);
  // Equal sizes or shapes are not enough to call a file altered.
  const release = proven[0] ?? (recognized?.sureness === "possible" ? undefined : recognized?.release);
  if (release === undefined) return unknown("it is not a known release");
  const title = titleOf(release);
  const published = release.shards ?? [];
  if (published.length === 0) return unknown(`the checksums of ${title} are unknown`);
  const shardOf = (file: FileSha256) =>
    shardWithSum(release, file) ?? published.find((shard) => shard.file === basename(file.path));
  if (!files.some(shardOf)) {
    return unknown(`its files are not those of ${title} (another format or sharding)`);
  }
  const gaps = files.flatMap((file) => compare(file, shardOf(file), release) ?? []);
  const matching = files.length - gaps.length;
  const absent = published.length - files.length;
  if (absent > 0) gaps.push(`${absent} of the published files ${absent === 1 ? "was" : "were"} not given`);
  const isWhole = gaps.length === 0 && matching === published.length;
  return {
    verdict: isWhole ? "matches" : matching > 0 ? "partly" : "unknown",
    recognized: proven.length > 0 ? { release, clue: "checksum", sureness: "certain" } : null,
    sentence: isWhole
      ? `the delta is the published ${title}: the checksums of all ${matching} files match`
      : `${matching} of ${published.length} files have the checksums of the published ${title}; ${gaps.join("; ")}`,
  };
}

function shardWithSum({ shards }: Release, { sha256 }: FileSha256): PublishedShard | undefined {
  return shards?.find((shard) => shard.sha256 === sha256);
}

/** What of a file couldn't be compared; null where its checksum is the published one. */
function compare(file: FileSha256, shard: PublishedShard | undefined, release: Release): string | null {
  const altered = (expected: string, got: string) =>
    new ApplyDeltaError("delta-altered", `The delta differs from the published ${titleOf(release)}.`, {
      file: file.path,
      expected,
      got,
      hint: `Download the file again from ${release.repository}, or omit --verify-delta if the change is intended.`,
    });
  const name = basename(file.path);
  if (shard === undefined) throw altered((release.shards ?? []).map(({ file }) => file).join(", "), name);
  const { byteLength, sha256 } = shard;
  if (byteLength !== null && byteLength !== file.byteLength) {
    throw altered(`${byteLength} bytes`, `${file.byteLength} bytes`);
  }
  if (sha256 !== null && sha256 !== file.sha256) throw altered(`SHA-256 ${sha256}`, `SHA-256 ${file.sha256}`);
  if (sha256 !== null) return null;
  return byteLength === null
    ? `size and checksum of ${name} are unknown`
    : `${name} has the published size, but its checksum is unknown`;
}

function unknown(why: string): DeltaVerification {
  return { verdict: "unknown", recognized: null, sentence: `the delta can't be verified: ${why}` };
}

function mixed(files: readonly FileSha256[], proven: readonly Release[]): ApplyDeltaError {
  const origins = files.map((file) => {
    const release = proven.find((candidate) => shardWithSum(candidate, file));
    return `${basename(file.path)} of ${release === undefined ? "neither" : titleOf(release)}`;
  });
  return new ApplyDeltaError("delta-altered", "The delta mixes the files of two releases.", {
    file: files[0]?.path ?? "",
    got: origins.join(", "),
    hint: "Download the files of one release into an empty folder.",
  });
}
