import { byteLengthOf } from "../../tensor.js";
import type { LayoutEntry, ShardLayout } from "../format.js";
import { pickleStateDict } from "./pickle-writer.js";
import { layOutZip } from "./zip-layout.js";

/** What PyTorch calls this version of its format (caffe2/serialize/versions.h). */
const VERSION = "3\n";

/**
 * Lays a file out, byte for byte as `torch.save({name: tensor, …}, path)` of PyTorch 1.13 writes it for contiguous CPU
 * tensors that share no storage, but for the tensors' data and checksums. Its records lie in a folder named after it;
 * storages are sorted by their keys as text (torch/serialization.py `_save`, caffe2/serialize/inline_container.cc
 * `PyTorchStreamWriter`).
 */
export function layOutTorchZip<Entry extends LayoutEntry>(
  fileName: string,
  entries: readonly Entry[],
): ShardLayout<Entry> {
  const folder = fileName.replace(/\.[^.]*$/, "");
  const pickle = pickleStateDict(entries);
  const sorted = entries
    .map((tensor, i) => ({ tensor, key: String(i) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const { placed, ...layout } = layOutZip([
    { name: `${folder}/data.pkl`, content: pickle },
    ...sorted.map(({ tensor, key }) => ({ name: `${folder}/data/${key}`, content: byteLengthOf(tensor) })),
    { name: `${folder}/version`, content: Buffer.from(VERSION, "latin1") },
  ]);
  const storages = placed.slice(1, -1);
  return {
    ...layout,
    placed: storages.map((record, i) => ({ ...record, tensor: sorted[i]?.tensor as Entry })),
  };
}
