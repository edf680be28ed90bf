import { byteLengthOf } from "../../tensor.js";
import type { LayoutEntry, ShardLayout } from "../format.js";
import { pickleStateDict } from "./pickle-writer.js";
import { createZipLayout } from "./zip-layout.js";

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
  const keyed = entries.map((entry, i) => ({ entry, key: String(i) }));
  const zip = createZipLayout();
  zip.addBytes(`${folder}/data.pkl`, pickleStateDict(keyed.map(({ entry, key }) => ({ ...entry, key }))));
  const spaces = keyed
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ entry, key }) => {
      const byteLength = byteLengthOf(entry);
      return { entry, byteLength, record: zip.addSpace(`${folder}/data/${key}`, byteLength) };
    });
  zip.addBytes(`${folder}/version`, Buffer.from(VERSION, "latin1"));
  const { pieces, byteLength: fileByteLength, checksumsOf } = zip.finish();
  return {
    byteLength: fileByteLength,
    pieces,
    placed: spaces.map(({ entry, byteLength, record }) => ({
      entry,
      offsetBytes: record.dataOffsetBytes,
      byteLength,
      checksumAt: checksumsOf(record),
    })),
  };
}
