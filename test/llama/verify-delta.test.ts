/** A delta's checksums against the published ones, with releases made up for the purpose. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EXIT } from "../../src/errors.js";
import type { RecognizedRelease, Release } from "../../src/llama/documents.js";
import { RELEASES } from "../../src/llama/releases.js";
import { verifyDelta } from "../../src/llama/verify-delta.js";
import type { FileSha256 } from "../../src/workers/sha256.js";
import { refusal } from "../support/refusal.js";

const digestOf = (letter: string) => letter.repeat(64);

function releaseWith(version: "v0" | "v1.1", shards: Release["shards"]): Release {
  const like = RELEASES.find((release) => release.kind === "delta" && release.version === version);
  assert.ok(like !== undefined);
  return { ...like, shards };
}

const WHOLE = releaseWith("v1.1", [
  { file: "a.bin", byteLength: 10, sha256: digestOf("a") },
  { file: "b.bin", byteLength: null, sha256: digestOf("b") },
]);
const PARTLY = releaseWith("v0", [
  { file: "a.bin", byteLength: 12, sha256: digestOf("c") },
  { file: "b.bin", byteLength: 5, sha256: null },
]);
const RELEASES_HERE = [WHOLE, PARTLY];

function file(name: string, letter: string, byteLength = 10): FileSha256 {
  return { path: `/delta/${name}`, byteLength, sha256: digestOf(letter) };
}

function recognized(release: Release, sureness: RecognizedRelease["sureness"] = "likely"): RecognizedRelease {
  return { release, clue: sureness === "possible" ? "shape" : "folder", sureness };
}

const verify = (files: FileSha256[], by: RecognizedRelease | null = null) =>
  verifyDelta(files, by, RELEASES_HERE);

test("the published files are recognised by nothing but their checksums, and certain", () => {
  const result = verify([file("a.bin", "a"), file("b.bin", "b", 7)]);
  assert.equal(result.verdict, "matches");
  assert.deepEqual(result.recognized, { release: WHOLE, clue: "checksum", sureness: "certain" });
  assert.equal(
    result.sentence,
    "the delta is the published Vicuna 7B v1.1: the checksums of all 2 files match",
  );
});

test("a name says nothing against checksums", () => {
  const result = verify([file("a.bin", "a"), file("b.bin", "b")], recognized(PARTLY));
  assert.equal(result.recognized?.release, WHOLE);
});

test("files may have other names", () => {
  assert.equal(verify([file("x.bin", "a"), file("y.bin", "b")]).verdict, "matches");
});

test("where a checksum isn't known, the match is partial and says what is missing", () => {
  const result = verify([file("a.bin", "c", 12), file("b.bin", "9", 5)]);
  assert.equal(result.verdict, "partly");
  assert.equal(
    result.sentence,
    "1 of 2 files have the checksums of the published Vicuna 7B v0; b.bin has the published size, but its checksum is unknown",
  );
});

test("a file alone is a part", () => {
  const result = verify([file("a.bin", "a")]);
  assert.equal(result.verdict, "partly");
  assert.match(result.sentence, /1 of the published files was not given$/);
});

test("one altered file is an error that names it, the checksums and the way out", async () => {
  const error = await refusal(() => verify([file("a.bin", "a"), file("b.bin", "0")]), "delta-altered", {
    file: "/delta/b.bin",
    expected: `SHA-256 ${digestOf("b")}`,
    got: `SHA-256 ${digestOf("0")}`,
    hint: /lmsys\/vicuna-7b-delta-v1\.1/,
  });
  assert.equal(error.exitCode, EXIT.verification);
  assert.equal(EXIT.verification, 7);
});

test("with no file intact, the name says which release it should be", async () => {
  const files = [file("a.bin", "0"), file("b.bin", "1")];
  await refusal(() => verify(files, recognized(WHOLE)), "delta-altered", { file: "/delta/a.bin" });
});

test("a size that differs is enough", async () => {
  const files = [file("a.bin", "c", 12), file("b.bin", "9", 6)];
  await refusal(() => verify(files), "delta-altered", { expected: "5 bytes", got: "6 bytes" });
});

test("a file that isn't of the release beside one that is", async () => {
  const files = [file("a.bin", "a"), file("b.bin", "b"), file("extra.bin", "e")];
  await refusal(() => verify(files), "delta-altered", { expected: "a.bin, b.bin", got: "extra.bin" });
});

test("files of two releases in one folder", async () => {
  const files = [file("a.bin", "c", 12), file("b.bin", "b")];
  await refusal(() => verify(files), "delta-altered", {
    got: "a.bin of Vicuna 7B v0, b.bin of Vicuna 7B v1.1",
  });
});

const UNKNOWN: [title: string, by: RecognizedRelease | null, names: string[], sentence: RegExp][] = [
  ["no release at all", null, ["a.bin"], /it is not a known release$/],
  ["one that only looks alike", recognized(WHOLE, "possible"), ["a.bin"], /it is not a known release$/],
  ["one in another format", recognized(WHOLE), ["model.safetensors"], /another format or sharding/],
  [
    "one without published checksums",
    recognized({ ...WHOLE, shards: null }),
    ["a.bin"],
    /the checksums of Vicuna 7B v1\.1 are unknown$/,
  ],
];

for (const [title, by, names, sentence] of UNKNOWN) {
  test(`can't be verified, which is a warning and no error: ${title}`, () => {
    const result = verify(
      names.map((name) => file(name, "0")),
      by,
    );
    assert.equal(result.verdict, "unknown");
    assert.equal(result.recognized, null);
    assert.match(result.sentence, sentence);
  });
}
