/** The table of releases agrees with itself and with the names on the Hub. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOf, titleOf } from "../../src/llama/describe.js";
import { DIMENSIONS, RELEASES } from "../../src/llama/releases.js";

test("every release that was published is there, once", () => {
  const expected = [
    ...["7b", "13b"].map((size) => `lmsys/vicuna-${size}-delta-v0`),
    ...["7b", "13b"].map((size) => `lmsys/vicuna-${size}-delta-v1.1`),
    ...["7b", "13b"].map((size) => `lmsys/vicuna-${size}-v1.1`),
    ...["7b", "13b", "33b"].map((size) => `lmsys/vicuna-${size}-v1.3`),
    ...["7b", "13b"].flatMap((size) => [`lmsys/vicuna-${size}-v1.5`, `lmsys/vicuna-${size}-v1.5-16k`]),
  ];
  assert.deepEqual(RELEASES.map(({ repository }) => repository).sort(), expected.sort());
});

test("kind, name, base and advice agree", () => {
  for (const release of RELEASES) {
    const { kind, size, version, base, whatToDo } = release;
    const name = nameOf(release);
    assert.equal(name.includes("-delta-"), kind === "delta", name);
    assert.ok(name.startsWith(`vicuna-${size.toLowerCase()}-`) && name.endsWith(version), name);
    assert.equal(base, `${version.startsWith("v1.5") ? "Llama 2" : "LLaMA 1"} ${size}`, name);
    assert.match(whatToDo, kind === "delta" ? /^Apply it to LLaMA 1 (?:7|13)B\.$/ : /^Use it as it is/, name);
    assert.ok(size in DIMENSIONS);
  }
});

test("only v0 and v1.1, in 7B and 13B, were published as deltas", () => {
  const deltas = RELEASES.filter(({ kind }) => kind === "delta").map(titleOf);
  assert.deepEqual(deltas.sort(), ["Vicuna 13B v0", "Vicuna 13B v1.1", "Vicuna 7B v0", "Vicuna 7B v1.1"]);
});

test("only v0 has a row for [PAD], another prompt, and versions that end", () => {
  for (const release of RELEASES) {
    const isV0 = release.version === "v0";
    assert.equal(release.embedRows, isV0 ? 32_001 : 32_000, release.repository);
    assert.equal(release.prompt, isV0 ? "v0" : "v1.1", release.repository);
    assert.match(
      release.fastchat ?? "",
      isV0 ? /^<=\d+\.\d+\.\d+$/ : /^>=\d+\.\d+\.\d+$/,
      release.repository,
    );
    assert.match(release.transformers ?? ">=4.28.0", /^>=4\.\d+\.\d+$/, release.repository);
    assert.equal(release.transformers === null, isV0, release.repository);
  }
});

test("dates are dates, and versions follow each other", () => {
  for (const { date, repository } of RELEASES) {
    assert.match(date ?? "", /^2023-\d{2}-\d{2}$/, repository);
    assert.equal(new Date(`${date}T00:00:00Z`).toISOString().slice(0, 10), date, repository);
  }
  const dates = RELEASES.map(({ date }) => date ?? "");
  assert.deepEqual(dates, [...dates].sort().reverse(), "newest first");
});

test("contexts: 2048 on LLaMA 1, 4096 on Llama 2, 16384 in the 16k releases", () => {
  for (const { version, contextTokens, repository } of RELEASES) {
    const expected = version === "v1.5-16k" ? 16_384 : version === "v1.5" ? 4096 : 2048;
    assert.equal(contextTokens, expected, repository);
  }
});

test("shards are numbered, their checksums are 64 hexadecimal digits, none twice", () => {
  const seen = new Set<string>();
  for (const { shards, kind, size, repository } of RELEASES) {
    assert.equal(shards === null, kind === "merged", repository);
    if (shards === null) continue;
    assert.equal(shards.length, size === "7B" ? 2 : 3, repository);
    for (const [i, { file, byteLength, sha256 }] of shards.entries()) {
      assert.equal(file, `pytorch_model-0000${i + 1}-of-0000${shards.length}.bin`);
      assert.ok(byteLength === null || (Number.isSafeInteger(byteLength) && byteLength > 1e9), repository);
      if (sha256 === null) continue;
      assert.match(sha256, /^[0-9a-f]{64}$/, repository);
      assert.ok(!seen.has(sha256), `${sha256} twice`);
      seen.add(sha256);
    }
    assert.ok(
      shards.some(({ sha256 }) => sha256 !== null),
      repository,
    );
  }
});

test("v0's embedding and head are each one row of 4096 float16 values larger than v1.1's", () => {
  const bytesOf = (version: string) =>
    RELEASES.find(
      (release) => release.kind === "delta" && release.size === "7B" && release.version === version,
    )?.shards?.map(({ byteLength }) => byteLength ?? 0) ?? [];
  const grown = bytesOf("v0").map((bytes, i) => bytes - (bytesOf("v1.1")[i] ?? 0));
  assert.deepEqual(grown, [4096 * 2, 4096 * 2]);
});
