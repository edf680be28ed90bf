/** What the readers of both PyTorch formats share: from the pickled value to views, and their refusals. */
import { ApplyDeltaError, type ErrorDetails } from "../../errors.js";
import {
  bitsOf,
  type DType,
  elementCount,
  MAX_RANK,
  type RandomAccessFile,
  type TensorView,
} from "../../tensor.js";
import type { HeaderReader } from "../header-reader.js";
import { Dict, describe, type PickleValue, quote, type StorageNode, strayKey, TensorNode } from "./values.js";

/**
 * A view with strides of 0, as `expand` makes, has more elements than its storage. Stops a storage of one element that
 * is said to be 10^15 of them: a few bytes of file would fill the disk. A file of LLaMA's weights has at most 2^33.
 */
const MAX_REPEATED_ELEMENTS = 2 ** 34;

/**
 * Stops a data.pkl of gigabytes, which would have to be held in memory. A state dict costs about 200 bytes for each
 * tensor, so the largest models stay well below 1 MiB.
 */
export const MAX_PICKLE_BYTES = 16 * 1024 * 1024;

/** Keys under which training scripts put the state dict beside optimizer, epoch and the like. */
const WRAPPER_KEYS = ["state_dict", "model"] as const;

/** Size of one element in bytes; PyTorch has no dtypes below one byte here. */
function elementBytes(dtype: DType): number {
  return bitsOf(dtype) / 8;
}

export function recordBytes({ recordNumel, dtype }: StorageNode): number {
  return recordNumel * elementBytes(dtype);
}

/**
 * The tensors of a checkpoint by name. The root is the state dict itself, or a dict that holds it under `state_dict`
 * or `model`; what stands beside it there is no part of it. What stands inside it must be tensors and nothing else.
 */
export function findStateDict(root: PickleValue, path: string): Map<string, TensorNode> {
  const fail = (message: string, got: string): ApplyDeltaError =>
    new ApplyDeltaError("not-a-state-dict", message, {
      file: path,
      expected: "a dict from names to tensors, or one under state_dict or model",
      got,
      hint: "Save model.state_dict() by itself.",
    });
  if (!(root instanceof Dict)) throw fail("The checkpoint is not a dict of tensors.", describe(root));
  const wrapped = WRAPPER_KEYS.map((key) => root.get(key)).filter((value) => value instanceof Dict);
  if (wrapped.length > 1) {
    throw fail(`The checkpoint has a dict under each of ${WRAPPER_KEYS.join(" and ")}.`, "two state dicts");
  }
  const tensors = new Map<string, TensorNode>();
  for (const [key, value] of wrapped[0] ?? root) {
    const stray = strayKey(key);
    if (stray !== null) throw fail("A key of the state dict is not a name.", `the key ${quote(stray)}`);
    if (!(value instanceof TensorNode)) {
      throw fail(`The entry ${quote(key)} of the state dict is not a tensor.`, describe(value));
    }
    tensors.set(key, value);
  }
  return tensors;
}

/** Views of `tensors` in `file`; `dataOffsetOf` says where the record of a storage begins there. */
export function viewTensors<F extends RandomAccessFile>(
  file: HeaderReader<F>,
  tensors: ReadonlyMap<string, TensorNode>,
  dataOffsetOf: (storage: StorageNode) => number,
): TensorView<F>[] {
  let repeated = 0;
  return Array.from(tensors, ([name, tensor]) => {
    const { storage, dtype } = tensor;
    const capacity = Math.floor((storage.numel * elementBytes(storage.dtype)) / elementBytes(dtype));
    const { offset, shape, strides } = checkView(file.path, name, tensor, capacity);
    repeated += Math.max(0, elementCount(shape) - capacity);
    if (repeated > MAX_REPEATED_ELEMENTS) {
      throw new ApplyDeltaError("view-out-of-bounds", "Tensors repeat what the file holds without end.", {
        file: file.path,
        tensor: name,
        expected: `at most ${MAX_REPEATED_ELEMENTS} elements more than are stored`,
        got: repeated,
        hint: "Don't use this file unless you know who made it; no state dict repeats its weights like this.",
      });
    }
    const inRecord = storage.start * elementBytes(storage.dtype) + offset * elementBytes(dtype);
    return file.view({ name, dtype, shape, strides, offsetBytes: dataOffsetOf(storage) + inRecord });
  });
}

function checkView(
  path: string,
  name: string,
  { storage, offset, shape, strides }: TensorNode,
  capacity: number,
): { offset: number; shape: readonly number[]; strides: readonly number[] } {
  const refuse = (message: string, expected: string | number, got: string | number) =>
    new ApplyDeltaError("view-out-of-bounds", message, { file: path, tensor: name, expected, got });

  const rank = Math.max(shape.length, strides.length);
  if (rank > MAX_RANK)
    throw refuse("A tensor has more dimensions than PyTorch allows.", `at most ${MAX_RANK}`, rank);
  const bad = [offset, ...shape, ...strides].find((n) => !Number.isSafeInteger(n) || (n as number) < 0);
  if (bad !== undefined) {
    const expected = "integers from 0 to 2^53 - 1";
    throw refuse("A tensor has an impossible offset, extent or stride.", expected, String(bad));
  }
  if (shape.length !== strides.length) {
    throw refuse("A tensor does not have one stride for each dimension.", shape.length, strides.length);
  }
  const checked = { offset: offset as number, shape: shape as number[], strides: strides as number[] };
  const count = elementCount(checked.shape);
  // Without elements there is nothing to be out of bounds, and PyTorch leaves offsets past the end there:
  // torch.zeros(3, 4)[3:, 2:] starts at element 14 of 12.
  if (count === 0) return { ...checked, offset: 0 };
  if (!Number.isSafeInteger(count)) {
    throw refuse("A tensor has more elements than can be counted.", "fewer than 2^53 elements", count);
  }
  const last = checked.shape.reduce(
    (sum, extent, dim) => sum + (extent - 1) * (checked.strides[dim] as number),
    checked.offset,
  );
  // Rounding of a sum beyond 2^53 cannot bring it below a storage's size, which is at most 2^53 - 1.
  if (last >= capacity) {
    const expected = `elements 0 to ${capacity - 1} of storage ${quote(storage.key)}`;
    throw refuse("A tensor reaches beyond its storage.", expected, `element ${last}`);
  }
  return checked;
}

/** The error for a file of a checkpoint's format that isn't a checkpoint. */
export function foreignFile(path: string, message: string, expected: string, got: string): ApplyDeltaError {
  return new ApplyDeltaError("foreign-format", message, {
    file: path,
    expected,
    got,
    hint: "Give the model's own .bin, .pt, .pth or .safetensors files, not a program or an archive of them.",
  });
}

export function bigEndian(path: string, offsetBytes: number, got: string): ApplyDeltaError {
  return new ApplyDeltaError("big-endian", "The checkpoint was not written on a little-endian machine.", {
    file: path,
    offsetBytes,
    expected: "little-endian numbers",
    got,
    hint: "Load it with PyTorch and save it again on a little-endian machine.",
  });
}

export function storageMissing(path: string, key: string): ApplyDeltaError {
  const message = `Storage ${quote(key)} is used but has no data in the file.`;
  return new ApplyDeltaError("storage-missing", message, { file: path });
}

export function storageSize(key: string, details: ErrorDetails): ApplyDeltaError {
  const message = `Storage ${quote(key)} does not have the size the pickle gives.`;
  return new ApplyDeltaError("storage-size", message, details);
}

export function pickleTooLarge(path: string, offsetBytes: number): ApplyDeltaError {
  const message = "A pickle in the file is far larger than a state dict needs.";
  return new ApplyDeltaError("pickle-too-large", message, {
    file: path,
    offsetBytes,
    expected: `at most ${MAX_PICKLE_BYTES} bytes`,
    hint: "The file is damaged or not a plain state dict; get the weights as safetensors.",
  });
}
