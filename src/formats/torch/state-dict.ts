import { ApplyDeltaError } from "../../errors.js";
import {
  bitsOf,
  type DType,
  elementCount,
  MAX_RANK,
  type RandomAccessFile,
  type TensorView,
} from "../../tensor.js";
import { Dict, describe, type PickleValue, quote, type StorageNode, TensorNode } from "./values.js";

/**
 * A view with strides of 0, as `expand` makes, has more elements than its storage. Stops a storage of one element that
 * is said to be 10^15 of them: a few bytes of file would fill the disk. A file of LLaMA's weights has at most 2^33.
 */
const MAX_REPEATED_ELEMENTS = 2 ** 34;

/** Keys under which training scripts put the state dict beside optimizer, epoch and the like. */
const WRAPPER_KEYS = ["state_dict", "model"] as const;

/** Size of one element of a storage in bytes; storages have no dtypes below one byte. */
export function elementBytes(dtype: DType): number {
  return bitsOf(dtype) / 8;
}

/**
 * The tensors of a checkpoint by name. The root is the state dict itself, or a dict that holds it under `state_dict`
 * or `model`; what stands beside it there is no part of it. What stands inside it must be tensors and nothing else.
 */
export function findStateDict(root: PickleValue, path: string): Map<string, TensorNode> {
  if (!(root instanceof Dict))
    throw notAStateDict(path, "The checkpoint is not a dict of tensors.", describe(root));
  const wrapped = WRAPPER_KEYS.filter((key) => root.get(key) instanceof Dict);
  if (wrapped.length > 1) {
    throw notAStateDict(
      path,
      `The checkpoint has a dict under each of ${wrapped.join(" and ")}.`,
      "two state dicts",
    );
  }
  const inside = wrapped[0] === undefined ? root : (root.get(wrapped[0]) as Dict);
  const tensors = new Map<string, TensorNode>();
  for (const [key, value] of inside) {
    if (typeof key !== "string") {
      throw notAStateDict(path, "A key of the state dict is not a name.", describe(key));
    }
    if (!(value instanceof TensorNode)) {
      throw notAStateDict(
        path,
        `The entry ${quote(key)} of the state dict is not a tensor.`,
        describe(value),
      );
    }
    tensors.set(key, value);
  }
  return tensors;
}

function notAStateDict(path: string, message: string, got: string): ApplyDeltaError {
  return new ApplyDeltaError("not-a-state-dict", message, {
    file: path,
    expected: "a dict from names to tensors, or one under state_dict or model",
    got,
    hint: "Save model.state_dict() by itself.",
  });
}

/** Views of `tensors` in `file`; `dataOffsetOf` says where the record of a storage begins there. */
export function viewTensors<F extends RandomAccessFile>(
  file: F,
  tensors: ReadonlyMap<string, TensorNode>,
  dataOffsetOf: (storage: StorageNode) => number,
): TensorView<F>[] {
  let repeated = 0;
  return Array.from(tensors, ([name, { storage, offset, shape, strides }]) => {
    const checked = checkView(file.path, name, storage, offset, shape, strides);
    repeated += Math.max(0, elementCount(checked.shape) - storage.numel);
    if (repeated > MAX_REPEATED_ELEMENTS) {
      throw new ApplyDeltaError("view-out-of-bounds", "Tensors repeat what the file holds without end.", {
        file: file.path,
        tensor: name,
        expected: `at most ${MAX_REPEATED_ELEMENTS} elements more than are stored`,
        got: `${repeated}`,
        hint: "Don't use this file unless you know who made it; no state dict repeats its weights like this.",
      });
    }
    const firstElement = storage.start + checked.offset;
    return {
      name,
      dtype: storage.dtype,
      shape: checked.shape,
      strides: checked.strides,
      file,
      offsetBytes: dataOffsetOf(storage) + firstElement * elementBytes(storage.dtype),
    };
  });
}

function checkView(
  path: string,
  name: string,
  storage: StorageNode,
  offset: number | bigint,
  shape: readonly (number | bigint)[],
  strides: readonly (number | bigint)[],
): { offset: number; shape: readonly number[]; strides: readonly number[] } {
  const refuse = (message: string, expected: string, got: string) =>
    new ApplyDeltaError("view-out-of-bounds", message, { file: path, tensor: name, expected, got });

  if (shape.length > MAX_RANK || strides.length > MAX_RANK) {
    const got = `${Math.max(shape.length, strides.length)}`;
    throw refuse("A tensor has more dimensions than PyTorch allows.", `at most ${MAX_RANK}`, got);
  }
  const numbers = [offset, ...shape, ...strides];
  const bad = numbers.find((value) => !(Number.isSafeInteger(value) && (value as number) >= 0));
  if (bad !== undefined) {
    throw refuse(
      "A tensor has an impossible offset, extent or stride.",
      "integers from 0 to 2^53 - 1",
      String(bad),
    );
  }
  if (shape.length !== strides.length) {
    throw refuse(
      "A tensor does not have one stride for each dimension.",
      `${shape.length}`,
      `${strides.length}`,
    );
  }
  const checked = { offset: offset as number, shape: shape as number[], strides: strides as number[] };
  const count = elementCount(checked.shape);
  // Without elements there is nothing to be out of bounds, and PyTorch leaves offsets past the end there:
  // torch.zeros(3, 4)[3:, 2:] starts at element 14 of 12.
  if (count === 0) return { ...checked, offset: 0 };
  if (!Number.isSafeInteger(count)) {
    throw refuse("A tensor has more elements than can be counted.", "fewer than 2^53 elements", `${count}`);
  }
  const last = checked.shape.reduce(
    (sum, extent, dim) => sum + (extent - 1) * (checked.strides[dim] as number),
    checked.offset,
  );
  // Rounding of a sum beyond 2^53 cannot bring it below a storage's size, which is at most 2^53 - 1.
  if (last >= storage.numel) {
    throw refuse(
      "A tensor reaches beyond its storage.",
      `elements 0 to ${storage.numel - 1} of storage ${quote(storage.key)}`,
      `element ${last}`,
    );
  }
  return checked;
}
