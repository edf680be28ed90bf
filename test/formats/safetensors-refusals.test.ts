/** Every way a safetensors header can be wrong, each with the error it must give. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorCode } from "../../src/errors.js";
import { MAX_HEADER_BYTES } from "../../src/formats/safetensors/header.js";
import { type MemoryFile, memoryFile } from "../support/memory-file.js";
import { safetensorsOf } from "../support/model-folder.js";
import { readSafetensors } from "../support/readers.js";
import { type ExpectedDetails, refusal } from "../support/refusal.js";

import { entry, file, fileOfBytes, one, PATH, ranged } from "../support/safetensors-headers.js";

interface Rejection {
  readonly source: MemoryFile;
  readonly code: ErrorCode;
  readonly details?: ExpectedDetails;
}

const rejectedHeader = (
  header: string,
  code: ErrorCode,
  details: ExpectedDetails,
  data = Buffer.alloc(4),
) => ({
  source: file(header, data),
  code,
  details,
});
const malformed = (header: string, details: ExpectedDetails) =>
  rejectedHeader(header, "header-malformed", details);
const badEntry = (fields: Parameters<typeof entry>[0], message: RegExp) =>
  malformed(one(fields), { tensor: "t", message });
const tiling = (header: string, dataLength: number, code: ErrorCode, details: ExpectedDetails) =>
  rejectedHeader(header, code, details, Buffer.alloc(dataLength));

const NOT_COUNTS = [
  "[1.0]",
  "[2e0]",
  "[1e3]",
  "[-1]",
  "[-0]",
  '["2"]',
  "[true]",
  "[null]",
  "[[2]]",
  "{}",
  "2",
  "null",
];
const NOT_PAIRS = [
  "[0,4.0]",
  "[0,4e0]",
  "[-0,4]",
  "[-4,0]",
  '["0",4]',
  "[0]",
  "[]",
  "[0,4,8]",
  "4",
  "null",
  "{}",
];

const REJECTIONS: Record<string, Rejection> = {
  "a file of seven bytes": {
    source: memoryFile(Buffer.alloc(7), PATH),
    code: "truncated-file",
    details: { got: "7 bytes" },
  },
  "a file without a byte": { source: memoryFile(Buffer.alloc(0), PATH), code: "truncated-file" },
  "a header longer than the file": {
    source: memoryFile(safetensorsOf("{}", Buffer.alloc(5), 8n), PATH),
    code: "truncated-file",
    details: { offsetBytes: 15, expected: "16 bytes or more", got: "15 bytes" },
  },
  "a header as long as is allowed, in a short file": {
    source: memoryFile(safetensorsOf("{}", Buffer.alloc(0), BigInt(MAX_HEADER_BYTES)), PATH),
    code: "truncated-file",
  },
  "a header one byte over the cap": {
    source: memoryFile(safetensorsOf("{}", Buffer.alloc(0), BigInt(MAX_HEADER_BYTES + 1)), PATH),
    code: "header-too-long",
    details: { offsetBytes: 0, got: "100000001 bytes" },
  },
  "a header of 2^64 - 1 bytes": {
    source: memoryFile(safetensorsOf("{}", Buffer.alloc(0), 2n ** 64n - 1n), PATH),
    code: "header-too-long",
    details: { offsetBytes: 0, got: "18446744073709551615 bytes" },
  },
  "an empty header": malformed("", { offsetBytes: 8, message: /begin with `{`/ }),
  "a header that is a list": malformed("[]", { offsetBytes: 8, message: /begin with `{`/ }),
  "a header behind a space": malformed(" {}", { offsetBytes: 8, message: /begin with `{`/ }),
  "a header behind a byte order mark": malformed("\ufeff{}", { offsetBytes: 8, message: /begin with `{`/ }),
  "a header that is not UTF-8": {
    source: fileOfBytes(Buffer.from('{"\xff":1}', "latin1")),
    code: "header-malformed",
    details: { offsetBytes: 8, message: /UTF-8/ },
  },
  "a header that ends early": malformed('{"t":', { offsetBytes: 13, message: /value expected/ }),
  "text behind the header": malformed("{}  {}", { offsetBytes: 12, message: /end of file expected/ }),
  "padding with zeros": malformed("{}\u0000", { offsetBytes: 10, message: /end of file expected/ }),
  "a tensor twice": rejectedHeader(`{"t":${entry()},"t":${entry()}}`, "duplicate-tensor", {
    offsetBytes: 8 + 6 + entry().length,
    message: /"t" stands twice/,
  }),
  "a tensor twice, once with an escape": rejectedHeader(
    `{"t":${entry()},"\\u0074":${entry()}}`,
    "duplicate-tensor",
    { message: /"t" stands twice/ },
  ),
  "`__metadata__` twice": rejectedHeader('{"__metadata__":{},"__metadata__":{}}', "duplicate-tensor", {
    offsetBytes: 8 + 19,
  }),
  "`__proto__` twice": rejectedHeader(`{"__proto__":${entry()},"__proto__":${entry()}}`, "duplicate-tensor", {
    message: /"__proto__" stands twice/,
  }),
  "a field twice": rejectedHeader(one({ more: ',"shape":[2]' }), "duplicate-tensor", {
    offsetBytes: 8 + one().length - 2 + 1,
    message: /"shape" stands twice/,
  }),
  "a key of the metadata twice": rejectedHeader('{"__metadata__":{"a":"","a":""}}', "duplicate-tensor", {
    message: /"a" stands twice/,
  }),
  "an unknown dtype": rejectedHeader(one({ dtype: '"F17"' }), "unsupported-dtype", {
    tensor: "t",
    message: /"F17"/,
  }),
  "a dtype in lower case": rejectedHeader(one({ dtype: '"f16"' }), "unsupported-dtype", { tensor: "t" }),
  "a dtype named as a property of Object.prototype": rejectedHeader(
    one({ dtype: '"constructor"' }),
    "unsupported-dtype",
    { tensor: "t" },
  ),
  "a dtype that is a number": badEntry({ dtype: "16" }, /`dtype` is not a string/),
  "no dtype": badEntry({ dtype: "" }, /`dtype` is not a string/),
  "no shape": badEntry({ shape: "" }, /`shape` is not a list/),
  "no data_offsets": badEntry({ data_offsets: "" }, /`data_offsets` is not a pair/),
  "65 dimensions": badEntry({ shape: `[${Array(64).fill(1)},2]` }, /`shape` is not a list/),
  "a shape whose product is no safe integer": badEntry(
    { shape: "[4294967296,4294967296]" },
    /beyond any file/,
  ),
  "a shape whose product is infinite": badEntry(
    { shape: `[${Array(64).fill(Number.MAX_SAFE_INTEGER)}]` },
    /beyond any file/,
  ),
  "a shape whose size in bits is no safe integer": badEntry(
    { shape: "[4503599627370496]" },
    /beyond any file/,
  ),
  "an extent beyond the safe integers": badEntry(
    { shape: "[9007199254740992]" },
    /`shape` is not a list of sizes/,
  ),
  "an offset beyond the safe integers": badEntry(
    { data_offsets: "[0,18446744073709551616]" },
    /`data_offsets` is not a pair/,
  ),
  "metadata with a number": malformed('{"__metadata__":{"a":1}}', { message: /__metadata__/ }),
  "metadata with a decimal": malformed('{"__metadata__":{"a":1.5}}', { message: /__metadata__/ }),
  "metadata with an object": malformed('{"__metadata__":{"a":{}}}', { message: /__metadata__/ }),
  "metadata that is a list": malformed('{"__metadata__":["a"]}', { message: /__metadata__/ }),
  "metadata that looks like a tensor": malformed(`{"__metadata__":${entry()}}`, { message: /__metadata__/ }),
  "deep nesting": malformed(`{"t":${"[".repeat(100_000)}`, { offsetBytes: 8 + 5 + 63, message: /nested/ }),
  "half a surrogate pair in a name": malformed(`{"\\ud83d":${entry()}}`, {
    offsetBytes: 9,
    message: /surrogate/,
  }),
  "a range too short for its shape": rejectedHeader(one({ data_offsets: "[0,3]" }), "wrong-size", {
    tensor: "t",
    expected: "4 bytes for F16 [2]",
    got: "data_offsets [0, 3]",
  }),
  "a range too long for its shape": rejectedHeader(one({ shape: "[1]" }), "wrong-size", { tensor: "t" }),
  "a range for a shape without elements": rejectedHeader(one({ shape: "[0,7]" }), "wrong-size", {
    tensor: "t",
  }),
  "a range that ends before it begins": rejectedHeader(
    one({ shape: "[0]", data_offsets: "[4,2]" }),
    "wrong-size",
    { tensor: "t", got: "data_offsets [4, 2]" },
  ),
  "three elements of half a byte in one byte": rejectedHeader(
    one({ dtype: '"F4"', shape: "[3]", data_offsets: "[0,1]" }),
    "wrong-size",
    { tensor: "t" },
  ),
  "three elements of half a byte in two bytes": rejectedHeader(
    one({ dtype: '"F4"', shape: "[3]", data_offsets: "[0,2]" }),
    "wrong-size",
    { tensor: "t" },
  ),
  "a hole at the start": tiling(ranged([1, 5]), 5, "data-hole", { tensor: "a", got: "from 1" }),
  "a hole in between": tiling(ranged([0, 4], [5, 9]), 9, "data-hole", {
    tensor: "b",
    expected: "data_offsets from 4",
    got: "from 5",
  }),
  "a hole before a tensor without elements": tiling(ranged([0, 4], [5, 5]), 5, "data-hole", { tensor: "b" }),
  "two ranges that overlap": tiling(ranged([0, 4], [3, 7]), 7, "data-overlap", {
    tensor: "b",
    got: "from 3",
  }),
  "two ranges that are the same": tiling(ranged([0, 4], [0, 4]), 4, "data-overlap", { tensor: "b" }),
  "a range inside another": tiling(ranged([0, 8], [2, 4]), 8, "data-overlap", { tensor: "b" }),
  "no elements, inside another range": tiling(ranged([0, 8], [4, 4]), 8, "data-overlap", { tensor: "b" }),
  "ranges out of order that overlap": tiling(ranged([3, 7], [0, 4]), 7, "data-overlap", { tensor: "a" }),
  "bytes after the last tensor": tiling(ranged([0, 4]), 5, "overlong-file", {
    expected: `${8 + ranged([0, 4]).length + 4} bytes`,
    got: `${8 + ranged([0, 4]).length + 5} bytes`,
  }),
  "bytes in a file without tensors": tiling("{}", 1, "overlong-file", {
    expected: "10 bytes",
    got: "11 bytes",
  }),
  "data that is cut": tiling(ranged([0, 4], [4, 8]), 7, "truncated-file", {
    expected: `${8 + ranged([0, 4], [4, 8]).length + 8} bytes`,
  }),
  "no data at all": tiling(ranged([0, 4]), 0, "truncated-file", {}),
};
for (const shape of NOT_COUNTS)
  REJECTIONS[`the shape ${shape}`] = badEntry({ shape }, /`shape` is not a list of sizes/);
for (const data_offsets of NOT_PAIRS) {
  REJECTIONS[`the data_offsets ${data_offsets}`] = badEntry({ data_offsets }, /`data_offsets` is not a pair/);
}
for (const text of ["null", "[]", '"F16"', "1", "1.5", "true"]) {
  REJECTIONS[`an entry that is ${text}`] = malformed(`{"t":${text}}`, {
    tensor: "t",
    message: /not an object/,
  });
}

for (const [title, { source, code, details }] of Object.entries(REJECTIONS)) {
  test(`refused: ${title}`, async () => {
    await refusal(() => readSafetensors(source), code, { file: PATH, ...details });
  });
}

test("a header over the cap is refused before it is read", async () => {
  const source = memoryFile(safetensorsOf("{}", Buffer.alloc(0), 2n ** 40n), PATH);
  await refusal(() => readSafetensors(source), "header-too-long");
  assert.equal(source.bytesRead, 8);
});

test("an error never shows more than the start of a crafted value", async () => {
  const source = file(one({ shape: `[${Array(100_000).fill(1)}]` }), Buffer.alloc(4));
  const error = await refusal(() => readSafetensors(source), "header-malformed", { got: /^\[1,1,.*…$/ });
  assert.ok(error.format().length < 1000);
});
