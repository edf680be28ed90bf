/** Whether a delta's files are the published ones, by their SHA-256. A single file that differs is an error. */
import { basename } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { PublishedShard, RecognizedRelease, Release } from "./documents.js";
import { RELEASES, titleOf } from "./releases.js";

export interface FileDigest {
  readonly path: string;
  readonly byteLength: number;
  /** 64 hexadecimal digits, lower case. */
  readonly sha256: string;
}

export type ShardStatus =
  /** Its checksum is the published one. */
  | "matches"
  /** Its size is the published one; its checksum is unknown. */
  | "same-size"
  /** Both are unknown. */
  | "unknown";

export interface DeltaVerification {
  /** `matches`: every shard; `partly`: every shard with a known checksum; `unknown`: none could be compared. */
  readonly verdict: "matches" | "partly" | "unknown";
  /** The release the checksums prove, or null. */
  readonly recognized: RecognizedRelease | null;
  readonly files: readonly { readonly file: string; readonly sha256: string; readonly status: ShardStatus }[];
  /** One sentence for the summary. */
  readonly sentence: string;
  /** Whether the user should be warned. */
  readonly isWarning: boolean;
}

/**
 * Compares with the release that a checksum proves, else with the one that was recognised by name.
 * Errors: `delta-altered`.
 */
export function verifyDelta(
  digests: readonly FileDigest[],
  recognized: RecognizedRelease | null,
  releases = RELEASES,
): DeltaVerification {
  const proven = provenReleases(digests, releases);
  if (proven.length > 1) throw mixed(digests, proven);
  // Equal sizes or shapes are not enough to call a file altered.
  const release = proven[0] ?? (recognized?.sureness === "possible" ? null : recognized?.release) ?? null;
  const shards = release?.shards ?? null;
  if (release === null || shards === null) {
    return unknown(
      digests,
      release === null ? "it is not a known release" : `the checksums of ${titleOf(release)} are unknown`,
    );
  }
  const isRenamed = proven.length === 0 && !digests.some(({ path }) => named(shards, path));
  if (isRenamed) {
    return unknown(digests, `its files are not those of ${titleOf(release)} (another format or sharding)`);
  }
  const files = digests.map((digest) => {
    const shard = shards.find(({ sha256 }) => sha256 === digest.sha256) ?? named(shards, digest.path) ?? null;
    return {
      file: basename(digest.path),
      sha256: digest.sha256,
      status: compare(digest, shard, release, shards),
    };
  });
  return summarize(release, files, proven.length > 0);
}

/** Releases of which at least one file has a published checksum. */
function provenReleases(digests: readonly FileDigest[], releases: readonly Release[]): Release[] {
  const known = new Set(digests.map(({ sha256 }) => sha256));
  return releases.filter(({ shards }) => shards?.some(({ sha256 }) => sha256 !== null && known.has(sha256)));
}

function named(shards: readonly PublishedShard[], path: string): PublishedShard | undefined {
  return shards.find(({ file }) => file === basename(path));
}

function compare(
  digest: FileDigest,
  shard: PublishedShard | null,
  release: Release,
  shards: readonly PublishedShard[],
): ShardStatus {
  const altered = (expected: string, got: string) =>
    new ApplyDeltaError("delta-altered", `The delta differs from the published ${titleOf(release)}.`, {
      file: digest.path,
      expected,
      got,
      hint: `Download the file again from ${release.repository}, or omit --verify-delta if the change is intended.`,
    });
  if (shard === null) throw altered(shards.map(({ file }) => file).join(", "), basename(digest.path));
  if (shard.byteLength !== null && shard.byteLength !== digest.byteLength) {
    throw altered(`${shard.byteLength} bytes`, `${digest.byteLength} bytes`);
  }
  if (shard.sha256 !== null && shard.sha256 !== digest.sha256) {
    throw altered(`sha256 ${shard.sha256}`, `sha256 ${digest.sha256}`);
  }
  if (shard.sha256 !== null) return "matches";
  return shard.byteLength === null ? "unknown" : "same-size";
}

function summarize(
  release: Release,
  files: DeltaVerification["files"],
  isProven: boolean,
): DeltaVerification {
  const published = release.shards ?? [];
  const fileNames = (status: ShardStatus) =>
    files.filter((file) => file.status === status).map(({ file }) => file);
  const matching = fileNames("matches").length;
  const isWhole = matching === files.length && matching === published.length;
  const absent = Math.max(0, published.length - files.length);
  const gaps = [
    ...fileNames("same-size").map((file) => `${file} has the published size, but its checksum is unknown`),
    ...fileNames("unknown").map((file) => `size and checksum of ${file} are unknown`),
    ...(absent === 0 ? [] : [`${absent} of the published files ${absent === 1 ? "was" : "were"} not given`]),
  ];
  return {
    verdict: isWhole ? "matches" : matching > 0 ? "partly" : "unknown",
    recognized: isProven ? { release, clue: "checksum", sureness: "certain" } : null,
    files,
    sentence: isWhole
      ? `the delta is the published ${titleOf(release)}: the checksums of all ${matching} files match`
      : `${matching} of ${published.length} files have the checksums of the published ${titleOf(release)}; ${gaps.join("; ")}`,
    isWarning: matching === 0,
  };
}

function unknown(digests: readonly FileDigest[], why: string): DeltaVerification {
  return {
    verdict: "unknown",
    recognized: null,
    files: digests.map(({ path, sha256 }) => ({ file: basename(path), sha256, status: "unknown" })),
    sentence: `the delta can't be verified: ${why}`,
    isWarning: true,
  };
}

function mixed(digests: readonly FileDigest[], proven: readonly Release[]): ApplyDeltaError {
  const origin = digests.map(({ path, sha256 }) => {
    const release = proven.find(({ shards }) => shards?.some((shard) => shard.sha256 === sha256));
    return `${basename(path)} of ${release === undefined ? "neither" : titleOf(release)}`;
  });
  return new ApplyDeltaError("delta-altered", "The delta mixes the files of two releases.", {
    file: digests[0]?.path ?? "",
    expected: "the files of one release",
    got: origin.join(", "),
    hint: "Download the files of one release into an empty folder.",
  });
}
