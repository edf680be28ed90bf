/** A spoiled model as files. */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openLocalFile } from "../../src/files/local-file.js";
import { bytesOf, onePiece, type SumDType, type TensorView } from "../../src/tensor.js";
import { encodeNumbers } from "./numbers.js";
import { countOf, from, inShard, type Model, type Overwrite } from "./spoiled-models.js";

/** Writes one side as two headerless shards. The caller closes the files. */
export function writeSide(
  folder: string,
  side: "base" | "delta",
  dtype: SumDType,
  model: Model,
  shapes: Map<string, number[]>,
  overwrite?: Overwrite,
): TensorView[] {
  const size = bytesOf(dtype);
  return [0, 1].flatMap((shard) => {
    const names = inShard(model, shard);
    const bytes = Buffer.concat(names.map((name) => encodeNumbers(dtype, from(model)(name))));
    if (overwrite?.side === side && overwrite.shard === shard) {
      const at = Math.floor(overwrite.from * bytes.length);
      if (overwrite.bytes.length === 0) bytes.fill(0, at, Math.floor(0.9 * bytes.length));
      else bytes.set(overwrite.bytes, at);
    }
    const path = join(folder, `${side}-${shard}.bin`);
    const fd = openSync(path, "w");
    writeSync(fd, bytes);
    closeSync(fd);
    const file = openLocalFile(path);
    let offsetBytes = 0;
    return names.map((name) => {
      const shape = shapes.get(name) as number[];
      const view = onePiece({ name, dtype, shape, file, offsetBytes });
      offsetBytes += countOf(shape) * size;
      return view;
    });
  });
}
