/** Formats are told by their first bytes; what isn't a checkpoint is called by its name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorCode } from "../../src/errors.js";
import { detectFormat } from "../../src/formats/detect.js";
import type { CheckpointFormat } from "../../src/formats/table.js";
import { fixtureFile, memoryFile } from "../support/memory-file.js";
import { safetensorsOf } from "../support/model-folder.js";
import { type ExpectedDetails, refusal } from "../support/refusal.js";
import { assemble, legacyStream, long, pickle, u16, u32, u64 } from "../support/torch-samples.js";

const nothing = Buffer.alloc(0);

/** A header of exactly `length` bytes. */
const headerOf = (length: number) => `{}${" ".repeat(length - 2)}`;

/** A frame as pickle protocol 4 puts one around the magic number. */
const framed = assemble(0x80, 4, 0x95, u64(15n), long(0x1950a86a20f9469cfc6cn), ".");

const KNOWN: [title: string, format: CheckpointFormat, bytes: Uint8Array][] = [
  ["safetensors", "safetensors", fixtureFile("safetensors/mixed.safetensors").bytes],
  ["an empty safetensors file", "safetensors", safetensorsOf("{}", nothing)],
  ["a header whose length begins with gzip's magic", "safetensors", safetensorsOf(headerOf(35615), nothing)],
  [
    "a header that has tar's magic in a name",
    "safetensors",
    safetensorsOf(`{"${"x".repeat(247)}ustar":{}}`, nothing),
  ],
  ["a header whose length is cut from the file", "safetensors", safetensorsOf("{", nothing, 99n)],
  ["a header beyond any length", "safetensors", safetensorsOf("{", nothing, 2n ** 63n)],
  ["a PyTorch zip", "torch-zip", fixtureFile("torch/plain-f16.bin").bytes],
  ["nothing but a zip's magic", "torch-zip", Buffer.from("PK\x03\x04", "latin1")],
  ["a PyTorch stream", "torch-legacy", fixtureFile("torch/legacy-module.bin").bytes],
  ["a PyTorch stream of protocol 4", "torch-legacy", fixtureFile("torch/legacy-protocol-4.bin").bytes],
  ["a PyTorch stream made by hand", "torch-legacy", legacyStream()],
  ["a PyTorch stream with a frame", "torch-legacy", framed],
  ["GGUF", "gguf", assemble("GGUF", u32(3), u64(291n), u64(20n))],
  // 123 tensors: the ninth byte is `{`, as in a safetensors file.
  ["GGUF with 123 tensors", "gguf", assemble("GGUF", u32(3), u64(123n), u64(20n))],
];
for (const [title, format, bytes] of KNOWN) {
  test(`${title} is ${format}, whatever the file is called`, async () => {
    for (const path of ["pytorch_model.bin", "x", "x.txt"]) {
      assert.equal(await detectFormat(memoryFile(bytes, path)), format);
    }
  });
}

test("what is called .safetensors and is nothing else is left to its reader", async () => {
  assert.equal(await detectFormat(memoryFile(Buffer.from("????????[]"), "a.safetensors")), "safetensors");
  assert.equal(await detectFormat(memoryFile(Buffer.from("?"), "a.safetensors")), "safetensors");
  await refusal(() => detectFormat(memoryFile(Buffer.from("?"), "a.bin")), "unknown-format");
});

const POINTER = `version https://git-lfs.github.com/spec/v1
oid sha256:7f161fb09b19b1cef6ae3807b154f18e7a4973cc8c200e2508c6d6958caad2f0
size 9976634558
`;
const tar = Buffer.alloc(1024);
tar.write("model/", 0);
tar.write("ustar", 257);

test("zeros where a format has its name, and a file that can't be weights by its name", async () => {
  const zeros = memoryFile(Buffer.alloc(4096), "pytorch_model-00001-of-00002.bin");
  await refusal(() => detectFormat(zeros), "unknown-format", {
    message: /begins with zeros/,
    hint: /xor_codec\.py.*download has not finished/,
  });
  await refusal(() => detectFormat(memoryFile(Buffer.from("{}"), "llama/config.json")), "unknown-format", {
    message: /^config\.json holds no weights\.$/,
    hint: "Give the model's folder: llama.",
  });
});

const FOREIGN: [title: string, content: Uint8Array | string, code: ErrorCode, details: ExpectedDetails][] = [
  ["nothing", "", "empty-file", { message: /empty/ }],
  [
    "a Git LFS pointer",
    POINTER,
    "lfs-pointer",
    {
      expected: "9976634558 bytes of weights",
      got: `a pointer of ${POINTER.length} bytes`,
      hint: /git lfs pull/,
    },
  ],
  ["a Git LFS pointer that is cut", POINTER.slice(0, 60), "lfs-pointer", { expected: undefined }],
  ["a web page", "<!DOCTYPE html>\n<html>", "html-page", { hint: /resolve\/main/ }],
  ["a web page without doctype", "\n  <HTML lang=en>", "html-page", {}],
  ["a web page's head", "<head><title>404</title>", "html-page", {}],
  ["an XML error", '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "html-page", {}],
  ["GGML", assemble("lmgg", u32(1)), "foreign-format", { message: /GGML/ }],
  ["GGJT", assemble("tjgg", u32(3)), "foreign-format", { message: /GGML/ }],
  ["GGMF", assemble("fmgg", u32(1)), "foreign-format", { message: /GGML/ }],
  ["GGLA", assemble("algg", u32(1)), "foreign-format", { message: /GGML/ }],
  ["HDF5", "\x89HDF\r\n\x1a\n", "foreign-format", { message: /HDF5/ }],
  ["NumPy", "\x93NUMPY\x01\x00", "foreign-format", { message: /NumPy/ }],
  ["gzip", "\x1f\x8b\x08\x00abcdef", "foreign-format", { message: /archive/, hint: /Unpack/ }],
  ["tar", tar, "foreign-format", { message: /archive/ }],
  ["a pickle that isn't PyTorch's", pickle("}"), "unknown-format", { got: "first bytes 80027d2e" }],
  ["a pickle of another long", pickle(long(0x1950a86a20f9469cfc6dn)), "unknown-format", {}],
  ["a PyTorch stream of protocol 6", assemble(0x80, 6, long(0x1950a86a20f9469cfc6cn)), "unknown-format", {}],
  ["zeros", Buffer.alloc(600), "unknown-format", { got: "first bytes 0000000000000000" }],
  ["an empty zip", assemble("PK\x05\x06", u32(0), u32(0), u32(0), u32(0), u16(0)), "unknown-format", {}],
  ["an error message", '{"error":"Repository not found"}', "unknown-format", {}],
];
for (const [title, content, code, details] of FOREIGN) {
  test(`${title} is refused as ${code}`, async () => {
    const bytes = typeof content === "string" ? Buffer.from(content, "latin1") : content;
    await refusal(() => detectFormat(memoryFile(bytes, "a/pytorch_model.bin")), code, {
      file: "a/pytorch_model.bin",
      ...details,
    });
  });
}

test("only the first bytes are read", async () => {
  const file = memoryFile(safetensorsOf(headerOf(100_000), nothing));
  await detectFormat(file);
  assert.deepEqual([file.reads, file.bytesRead], [1, 512]);
});
