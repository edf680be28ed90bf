import { type Format, startsWith } from "../format.js";
import { MAGIC } from "./constants.js";
import { readGguf } from "./reader.js";

export const gguf: Format = {
  title: "GGUF",
  fileName: "model.gguf",
  endings: [".gguf"],
  keepsOrder: true,
  matches: (head) => startsWith(head, MAGIC),
  read: async (header) => [...(await readGguf(header)).tensors],
};
