/** Tensor views that are plain data: for rooms that plan and never read. */
import { type DType, denseStrides, type LocalFile, type TensorView } from "../../src/tensor.js";

/** A file that nothing may read. */
function unreadableFile(path: string): LocalFile {
  const refuse = () => {
    throw new Error(`${path} is read`);
  };
  return { path, fd: -1, byteLength: 0, modifiedNs: 0n, read: refuse, close: refuse };
}

/** A dense tensor of a file that can't be read. */
export function view(
  name: string,
  shape: readonly number[],
  dtype: DType = "F16",
  path = "weights.safetensors",
): TensorView {
  return { name, dtype, shape, strides: denseStrides(shape), file: unreadableFile(path), offsetBytes: 0 };
}
