import { type Format, startsWith, type WritableFormat } from "../format.js";
import { readTorchLegacy } from "./legacy.js";
import { readTorchZip } from "./zip.js";
import { LOCAL_HEADER_MAGIC } from "./zip-format.js";
import { layOutTorchZip } from "./zip-writer.js";

const NAMES = { fileName: "pytorch_model.bin", endings: [".bin", ".pt", ".pth"], keepsOrder: true };

/** What torch.save writes since PyTorch 1.6. */
export const torchZip: WritableFormat = {
  ...NAMES,
  title: "PyTorch .bin",
  matches: (head) => startsWith(head, LOCAL_HEADER_MAGIC),
  read: readTorchZip,
  layOut: layOutTorchZip,
};

/**
 * A pickle of any protocol (PROTO, perhaps FRAME and its eight length bytes) of the ten-byte integer
 * 0x1950a86a20f9469cfc6c (torch/serialization.py, MAGIC_NUMBER).
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are bytes, read as Latin-1.
const LEGACY_MAGIC = /^\x80[\x02-\x05](?:\x95[\s\S]{8})?\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19/;

export const torchLegacy: Format = {
  ...NAMES,
  title: "PyTorch .bin (before 1.6)",
  matches: (head) => LEGACY_MAGIC.test(head.toString("latin1")),
  read: readTorchLegacy,
};
