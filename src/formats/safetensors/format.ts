import type { WritableFormat } from "../format.js";
import { LENGTH_BYTES, OPENING_BRACE } from "./header.js";
import { readSafetensors } from "./reader.js";
import { layOutSafetensors } from "./writer.js";

export const safetensors: WritableFormat = {
  title: "safetensors",
  fileName: "model.safetensors",
  endings: [".safetensors"],
  keepsOrder: false,
  // A header of less than 4 GiB. The low bytes of its length may be another format's magic (35615 is gzip's), and the
  // header may hold any text, so this format is asked first.
  matches: (head) =>
    head.length > LENGTH_BYTES && head.readUInt32LE(4) === 0 && head[LENGTH_BYTES] === OPENING_BRACE,
  resembles: (head, path) => head[LENGTH_BYTES] === OPENING_BRACE || path.endsWith(".safetensors"),
  read: readSafetensors,
  layOut: (_fileName, entries) => layOutSafetensors(entries),
};
