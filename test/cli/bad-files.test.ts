/** What a weights file gets that is damaged, or something else. */
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Arguments,
  type BadInput,
  folderOf,
  LFS_POINTER,
  PAIR,
  type Place,
  testBadInput,
  WEIGHTS,
} from "../support/bad-input.js";
import { safetensorsOf, torchFile } from "../support/model-folder.js";
import {
  assemble,
  checkpointEntries,
  globalName,
  pickle,
  storedZip,
  text,
  tuple,
} from "../support/torch-samples.js";

const replaceWeights = (folder: string, bytes: Uint8Array, name = WEIGHTS) =>
  writeFileSync(join(folder, name), bytes);

/** The base's header with something changed, before the data it had. */
function withHeader({ base }: Place, change: (header: string, data: Buffer) => Buffer): void {
  const path = join(base, WEIGHTS);
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  writeFileSync(path, change(file.toString("utf8", 8, start), file.subarray(start)));
}

/** Tensors `a` and `b` of four F16 at the given ranges. */
function twoTensors(
  a: [number, number],
  b: [number, number],
  dataLength: number,
  change = (header: string) => header,
): Buffer {
  const entry = (range: [number, number]) => ({ dtype: "F16", shape: [4], data_offsets: range });
  return safetensorsOf(change(JSON.stringify({ a: entry(a), b: entry(b) })), Buffer.alloc(dataLength));
}

/** The delta as a .bin file, spoilt. */
function torchDelta(place: Place, spoil: (bytes: Buffer) => Uint8Array): Arguments {
  return { delta: folderOf(place, { "pytorch_model.bin": spoil(torchFile(PAIR.delta)) }) };
}

const FILES: BadInput[] = [
  {
    name: "a Git LFS pointer",
    exit: 4,
    code: "lfs-pointer",
    make: ({ base }) => void replaceWeights(base, Buffer.from(LFS_POINTER)),
    says: [WEIGHTS, "Git LFS pointer", "git lfs pull"],
  },
  {
    name: "a web page",
    exit: 4,
    code: "html-page",
    make: (place) => ({
      delta: folderOf(place, { "pytorch_model.bin": "<!DOCTYPE html><html><body>Sign in</body></html>" }),
    }),
    says: ["pytorch_model.bin", "web page", "resolve/main"],
  },
  {
    name: "an empty file",
    exit: 4,
    code: "empty-file",
    make: ({ base }) => void replaceWeights(base, Buffer.alloc(0)),
    says: [WEIGHTS, "empty"],
  },
  {
    name: "a GGUF file",
    exit: 4,
    code: "foreign-format",
    make: (place) => ({
      base: join(folderOf(place, { "model-q4.gguf": "GGUF\x03\0\0\0" }), "model-q4.gguf"),
    }),
    says: ["model-q4.gguf", "GGUF", "Hugging Face checkpoint"],
  },
  {
    name: "something else",
    exit: 4,
    code: "unknown-format",
    make: (place) => ({ base: join(folderOf(place, { "model.bin": "what is this?" }), "model.bin") }),
    says: ["model.bin", "neither a safetensors file nor a PyTorch checkpoint"],
  },
  {
    name: "a safetensors file cut short in its data",
    exit: 4,
    code: "truncated-file",
    make: ({ base }) => {
      const path = join(base, WEIGHTS);
      truncateSync(path, readFileSync(path).length - 100);
      return undefined;
    },
    says: [WEIGHTS, "ends before its last tensor", "expected:", "got:"],
  },
  {
    name: "a safetensors file cut short in its header",
    exit: 4,
    code: "truncated-file",
    make: ({ base }) => void truncateSync(join(base, WEIGHTS), 200),
    says: [WEIGHTS, "inside its safetensors header"],
  },
  {
    name: "a safetensors file of four bytes",
    exit: 4,
    code: "truncated-file",
    make: ({ base }) => void truncateSync(join(base, WEIGHTS), 4),
    says: [WEIGHTS, "too short"],
  },
  {
    name: "a safetensors file with bytes behind its data",
    exit: 4,
    code: "overlong-file",
    make: ({ base }) => void withHeader({ base } as Place, (h, d) => safetensorsOf(h, Buffer.concat([d, d]))),
    says: [WEIGHTS, "after the last tensor"],
  },
  {
    name: "a header of 100 GB",
    exit: 4,
    code: "header-too-long",
    make: (place) => void withHeader(place, (h, d) => safetensorsOf(h, d, 100_000_000_000n)),
    says: [WEIGHTS, "got:      100 GB"],
  },
  {
    name: "a header that isn't JSON",
    exit: 4,
    code: "header-malformed",
    make: (place) => void withHeader(place, (h, d) => safetensorsOf(h.replace(":", ";"), d)),
    says: [WEIGHTS],
  },
  {
    name: "a hole between tensors",
    exit: 4,
    code: "data-hole",
    make: ({ base }) => void replaceWeights(base, twoTensors([0, 8], [16, 24], 24)),
    says: [WEIGHTS, "tensor:   b", "hole"],
  },
  {
    name: "tensors that overlap",
    exit: 4,
    code: "data-overlap",
    make: ({ base }) => void replaceWeights(base, twoTensors([0, 8], [4, 12], 12)),
    says: [WEIGHTS, "tensor:   b", "overlaps"],
  },
  {
    name: "a tensor of the wrong size",
    exit: 4,
    code: "wrong-size",
    make: ({ base }) => void replaceWeights(base, twoTensors([0, 8], [8, 18], 18)),
    says: [WEIGHTS, "tensor:   b", "8 bytes for F16 [4]"],
  },
  {
    name: "a tensor twice in a header",
    exit: 4,
    code: "duplicate-tensor",
    make: ({ base }) =>
      void replaceWeights(
        base,
        twoTensors([0, 8], [8, 16], 16, (header) => header.replace('"b"', '"a"')),
      ),
    says: [WEIGHTS, '"a"', "twice"],
  },
  {
    name: "a dtype that doesn't exist",
    exit: 4,
    code: "unsupported-dtype",
    make: ({ base }) =>
      void replaceWeights(
        base,
        twoTensors([0, 8], [8, 16], 16, (header) => header.replace("F16", "Q4_0")),
      ),
    says: [WEIGHTS, "tensor:   a", "Q4_0", "float16"],
  },
  {
    name: "a PyTorch file cut short",
    exit: 4,
    code: "truncated-file",
    make: (place) => torchDelta(place, (bytes) => bytes.subarray(0, bytes.length - 100)),
    says: ["pytorch_model.bin"],
  },
  {
    name: "a PyTorch file cut in half",
    exit: 4,
    code: "truncated-file",
    make: (place) => torchDelta(place, (bytes) => bytes.subarray(0, bytes.length / 2)),
    says: ["pytorch_model.bin"],
  },
  {
    name: "a PyTorch file with bytes behind it",
    exit: 4,
    code: "zip-malformed",
    make: (place) => torchDelta(place, (bytes) => Buffer.concat([bytes, Buffer.alloc(100, 1)])),
    says: ["pytorch_model.bin"],
  },
  {
    name: "a pickle that runs a command",
    exit: 4,
    code: "pickle-global",
    make: (place) => {
      const command = `touch ${join(place.root, "pwned")}`;
      const program = pickle(globalName("os", "system"), tuple(text(command)), "R");
      return torchDelta(place, () => storedZip(checkpointEntries(program)));
    },
    says: ["pytorch_model.bin", "os.system", "Nothing in the file was run"],
  },
  {
    name: "a pickle of a number",
    exit: 4,
    code: "not-a-state-dict",
    make: (place) => torchDelta(place, () => storedZip(checkpointEntries(pickle(assemble("K", 7))))),
    says: ["pytorch_model.bin", "not a dict of tensors"],
  },
  {
    name: "a config.json that isn't JSON",
    exit: 4,
    code: "bad-json",
    make: ({ delta }) => void writeFileSync(join(delta, "config.json"), "{ not json"),
    says: [join("delta", "config.json"), "Download config.json again"],
  },
];

testBadInput("a weights file that is", FILES);
