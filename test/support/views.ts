/** Tensor views that are plain data: for rooms that plan and never read. */
import { type DType, type OpenFile, onePiece, type TensorView } from "../../src/tensor.js";

/** A file that nothing may read. */
function unreadableFile(path: string): OpenFile {
  const refuse = () => {
    throw new Error(`${path} is read`);
  };
  return {
    ...{ path, fd: -1, byteLength: 0, version: "" },
    ...{ read: refuse, assertUnchanged: refuse, bytesFetched: refuse, close: refuse },
  };
}

/** A dense tensor of a file that can't be read. */
export function view(
  name: string,
  shape: readonly number[],
  dtype: DType = "F16",
  path = "weights.safetensors",
): TensorView {
  return onePiece({ name, dtype, shape, file: unreadableFile(path), offsetBytes: 0 });
}
