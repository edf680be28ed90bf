/**
 * The globals a PyTorch state dict needs, and what each stands for here. The list is exact and closed: nothing that a
 * pickle names is ever imported, looked up or run. `_get_allowed_globals` in torch/_weights_only_unpickler.py has more.
 */
import type { ApplyDeltaError, ErrorCode, ErrorDetails } from "../../errors.js";
import type { DType } from "../../tensor.js";
import {
  Callable,
  type CallableName,
  describe,
  OrderedDict,
  type PickleValue,
  quote,
  StorageNode,
  StorageType,
  TensorNode,
  Tuple,
} from "./values.js";

/** Makes an error that carries the file and the offset of the opcode being read. */
export type MakeError = (code: ErrorCode, message: string, details?: ErrorDetails) => ApplyDeltaError;

/** Keyed by "module name", the two separated by the only space, so that no other pair spells the same key. */
const GLOBALS: ReadonlyMap<string, StorageType | Callable> = new Map<string, StorageType | Callable>([
  ...callables("collections", ["OrderedDict"]),
  ...callables("torch._utils", [
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
  ]),
  // torch/storage.py, `_dtype_to_storage_type_map`; the quantized types and complex128 have no place here.
  ...storageTypes({
    Half: "F16",
    BFloat16: "BF16",
    Float: "F32",
    Double: "F64",
    Bool: "BOOL",
    Byte: "U8",
    Char: "I8",
    Short: "I16",
    Int: "I32",
    Long: "I64",
    ComplexFloat: "C64",
  }),
]);

function callables(module: string, names: readonly string[]): [string, Callable][] {
  return names.map((name) => [`${module} ${name}`, new Callable(`${module}.${name}` as CallableName)]);
}

function storageTypes(dtypes: Record<string, DType>): [string, StorageType][] {
  return Object.entries(dtypes).map(([name, dtype]) => [`torch ${name}Storage`, new StorageType(dtype)]);
}

/** What an allowed global stands for. Rejects every other one with `pickle-global`. */
export function allowedGlobal(module: string, name: string, makeError: MakeError): StorageType | Callable {
  const found = GLOBALS.get(`${module} ${name}`);
  if (found !== undefined) return found;
  throw makeError(
    "pickle-global",
    `The pickle names ${quote(`${module}.${name}`)}, which is not part of a state dict.`,
    {
      expected: "only tensors, storages and dicts",
      got: quote(`${module}.${name}`),
      hint:
        "Nothing in the file was run; a plain state dict never needs this name, so get the weights as safetensors, " +
        "or from a source you trust, or save model.state_dict() alone.",
    },
  );
}

/** What calling an allowed callable gives. */
export function applyCallable(
  callable: Callable,
  args: readonly PickleValue[],
  makeError: MakeError,
): OrderedDict | TensorNode {
  switch (callable.name) {
    case "collections.OrderedDict":
      if (args.length !== 0) throw unexpectedArguments(callable, args, "none", makeError);
      return new OrderedDict();
    case "torch._utils._rebuild_tensor":
      if (args.length !== 4) throw unexpectedArguments(callable, args, "4", makeError);
      return rebuildTensor(callable, args, makeError);
    case "torch._utils._rebuild_tensor_v2":
      // (storage, offset, size, stride, requires_grad, backward_hooks[, metadata])
      if (args.length !== 6 && args.length !== 7)
        throw unexpectedArguments(callable, args, "6 or 7", makeError);
      refuseMetadata(args[6] ?? null, makeError);
      return rebuildTensor(callable, args, makeError);
    case "torch._utils._rebuild_parameter":
      if (args.length !== 3) throw unexpectedArguments(callable, args, "3", makeError);
      return parameterData(callable, args, makeError);
    case "torch._utils._rebuild_parameter_with_state":
      if (args.length !== 4) throw unexpectedArguments(callable, args, "4", makeError);
      return parameterData(callable, args, makeError);
  }
}

/**
 * The storage that a persistent id stands for, torch/serialization.py `persistent_load`:
 * ("storage", storage type, key, location, numel), and in legacy streams a sixth item, None or
 * (view key, offset, view size).
 */
export function storageOf(id: PickleValue, itemCount: 5 | 6, makeError: MakeError): StorageNode {
  if (!(id instanceof Tuple) || id.items.length !== itemCount) {
    throw makeError("pickle-malformed", "A persistent id is not the description of a storage.", {
      expected: `a tuple of ${itemCount}`,
      got: describe(id),
    });
  }
  const [tag, type, key, location, numel, view] = id.items;
  const described =
    tag === "storage" &&
    type instanceof StorageType &&
    typeof key === "string" &&
    typeof location === "string" &&
    isIndex(numel);
  if (!described) {
    throw makeError("pickle-malformed", "A persistent id is not the description of a storage.", {
      expected: '("storage", storage type, key, location, number of elements)',
      got: `(${id.items.map(describe).join(", ")})`,
    });
  }
  if (itemCount === 5 || view === null) return new StorageNode(key, type.dtype, numel, 0, numel);
  const [viewKey, start, viewNumel] = view instanceof Tuple && view.items.length === 3 ? view.items : [];
  if (typeof viewKey !== "string" || !isIndex(start) || !isIndex(viewNumel) || start + viewNumel > numel) {
    throw makeError("pickle-malformed", `The view of storage ${quote(key)} is not inside it.`, {
      expected: `None, or (view key, offset, size) within ${numel} elements`,
      got: view instanceof Tuple ? `(${view.items.slice(0, 4).map(describe).join(", ")})` : describe(view),
    });
  }
  return new StorageNode(key, type.dtype, numel, start, viewNumel);
}

function isIndex(value: PickleValue | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function rebuildTensor(callable: Callable, args: readonly PickleValue[], makeError: MakeError): TensorNode {
  const [storage, offset, size, stride] = args;
  const fits =
    storage instanceof StorageNode && isInteger(offset) && isIntegerTuple(size) && isIntegerTuple(stride);
  if (!fits) {
    throw unexpectedArguments(callable, args, "(storage, offset, size, stride, …)", makeError);
  }
  return new TensorNode(storage, offset, size.items, stride.items);
}

function isInteger(value: PickleValue | undefined): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function isIntegerTuple(
  value: PickleValue | undefined,
): value is Tuple & { items: readonly (number | bigint)[] } {
  return value instanceof Tuple && value.items.every(isInteger);
}

/** A non-empty seventh item marks lazily conjugated or negated data (torch/_utils.py, `set_tensor_metadata`). */
function refuseMetadata(metadata: PickleValue, makeError: MakeError): void {
  if (metadata === null || (metadata instanceof Map && metadata.size === 0)) return;
  throw makeError("pickle-malformed", "A tensor carries metadata that changes the meaning of its bytes.", {
    expected: "no tensor metadata",
    got: describe(metadata),
    hint: "Save the tensors again after resolve_conj() and resolve_neg().",
  });
}

/** A parameter is its tensor; requires_grad, hooks and state say nothing about the values. */
function parameterData(callable: Callable, args: readonly PickleValue[], makeError: MakeError): TensorNode {
  const [data] = args;
  if (data instanceof TensorNode) return data;
  throw unexpectedArguments(callable, args, "(tensor, requires_grad, hooks, …)", makeError);
}

function unexpectedArguments(
  callable: Callable,
  args: readonly PickleValue[],
  expected: string,
  makeError: MakeError,
): ApplyDeltaError {
  const shown = args.slice(0, 8).map(describe).join(", ");
  return makeError("pickle-malformed", `${callable.name} has unexpected arguments.`, {
    expected,
    got: `${args.length}: (${shown}${args.length > 8 ? ", …" : ""})`,
  });
}
