/**
 * The globals a PyTorch state dict needs, and what each stands for here. The list is exact and closed: nothing that a
 * pickle names is ever imported, looked up or run. `_get_allowed_globals` in torch/_weights_only_unpickler.py has more.
 */
import type { DType } from "../../tensor.js";
import {
  Callable,
  describe,
  describeAll,
  ElementType,
  type MakeError,
  OrderedDict,
  type PickleValue,
  quote,
  STORAGE_TYPES,
  StorageNode,
  StorageType,
  TensorClass,
  TensorNode,
  Tuple,
} from "./values.js";

/** Left out: quantized types, bits, complex128, and float4, of which PyTorch counts pairs. */
const DTYPES: readonly [DType, string][] = [
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["F32", "float32"],
  ["F64", "float64"],
  ["BOOL", "bool"],
  ["U8", "uint8"],
  ["I8", "int8"],
  ["I16", "int16"],
  ["I32", "int32"],
  ["I64", "int64"],
  ["C64", "complex64"],
  ["U16", "uint16"],
  ["U32", "uint32"],
  ["U64", "uint64"],
  ["F8_E4M3", "float8_e4m3fn"],
  ["F8_E4M3FNUZ", "float8_e4m3fnuz"],
  ["F8_E5M2", "float8_e5m2"],
  ["F8_E5M2FNUZ", "float8_e5m2fnuz"],
  ["F8_E8M0", "float8_e8m0fnu"],
];

/** torch/storage.py, `_dtype_to_storage_type_map`; dtypes that came later have storages of untyped bytes. */
const STORAGES: readonly (readonly [DType, string])[] = [
  ...STORAGE_TYPES.map(([dtype, name]) => [dtype, `torch ${name}`] as const),
  ["F64", "torch DoubleStorage"],
  ["U8", "torch.storage UntypedStorage"],
];

const TENSOR = "storage, offset, size, stride";

/** What makes a tensor (torch/_utils.py). requires_grad, hooks and state say nothing about the values. */
const REBUILDS = [
  callable("torch._utils _rebuild_tensor", TENSOR, tensorOf),
  callable("torch._utils _rebuild_tensor_v2", `${TENSOR}, requires_grad, hooks[, metadata]`, tensorV2),
  callable("torch._utils _rebuild_tensor_v3", `${TENSOR}, requires_grad, hooks, dtype[, metadata]`, tensorV3),
  callable("torch._utils _rebuild_parameter", "tensor, requires_grad, hooks", firstTensor),
  callable("torch._utils _rebuild_parameter_with_state", "tensor, requires_grad, hooks, state", firstTensor),
];

/** Keyed by "module name", the two separated by the only space, so that no other pair spells the same key. */
const GLOBALS: ReadonlyMap<string, PickleValue> = new Map<string, PickleValue>([
  ...DTYPES.map(([dtype, name]): [string, ElementType] => [`torch ${name}`, new ElementType(dtype)]),
  ...STORAGES.map(([dtype, name]): [string, StorageType] => [name, new StorageType(dtype)]),
  ["torch Tensor", new TensorClass()],
  ["torch.nn.parameter Parameter", new TensorClass()],
  ...REBUILDS,
  callable("torch._tensor _rebuild_from_type_v2", "function, type, arguments, state", rebuildFromType),
  callable("collections OrderedDict", "", () => new OrderedDict()),
  // Attributes of tensors.
  callable("torch Size", "sizes", ([sizes]) => (sizes instanceof Tuple ? sizes : undefined)),
  callable("torch device", "type[, index]", ([type]) => type),
]);

/** `takes` names the arguments; those that may be left out are in brackets. */
function callable(key: string, takes: string, call: Callable["call"]): [string, Callable] {
  const [required = ""] = takes.split("[");
  const count = (names: string) => (names === "" ? 0 : names.split(",").length);
  return [key, new Callable(key.replace(" ", "."), `(${takes})`, count(required), count(takes), call)];
}

/** What an allowed global stands for. Rejects every other one with `pickle-global`. */
export function allowedGlobal(module: string, name: string, makeError: MakeError): PickleValue {
  const found = GLOBALS.get(`${module} ${name}`);
  if (found !== undefined) return found;
  const got = quote(`${module}.${name}`);
  throw makeError("pickle-global", `The pickle names ${got}, which is not part of a state dict.`, {
    expected: "only tensors, storages and dicts",
    got,
    hint:
      "Nothing in the file was run; a plain state dict never needs this name, so get the weights as safetensors, " +
      "or from a source you trust, or save model.state_dict() alone.",
  });
}

/** What calling an allowed callable gives. */
export function applyCallable(
  { name, takes, least, most, call }: Callable,
  args: readonly PickleValue[],
  makeError: MakeError,
): PickleValue {
  const isCounted = args.length >= least && args.length <= most;
  const made = isCounted ? call(args, makeError) : undefined;
  if (made !== undefined) return made;
  throw makeError("pickle-malformed", `${name} has unexpected arguments.`, {
    expected: takes,
    got: describeAll(args),
  });
}

function tensorOf(
  [storage, offset, size, stride]: readonly PickleValue[],
  _makeError: MakeError,
  dtype?: DType,
): TensorNode | undefined {
  const fits =
    storage instanceof StorageNode && isInteger(offset) && isIntegerTuple(size) && isIntegerTuple(stride);
  return fits ? new TensorNode(storage, offset, size.items, stride.items, dtype) : undefined;
}

function tensorV2(args: readonly PickleValue[], makeError: MakeError): TensorNode | undefined {
  refuseMetadata(args[6], makeError);
  return tensorOf(args, makeError);
}

function tensorV3(args: readonly PickleValue[], makeError: MakeError): TensorNode | undefined {
  refuseMetadata(args[7], makeError);
  const dtype = args[6];
  return dtype instanceof ElementType ? tensorOf(args, makeError, dtype.dtype) : undefined;
}

function firstTensor([data]: readonly PickleValue[]): TensorNode | undefined {
  return data instanceof TensorNode ? data : undefined;
}

/** A tensor with attributes of its own, which aren't read. Never calls itself, however deep a file nests the calls. */
function rebuildFromType(
  [rebuild, type, args]: readonly PickleValue[],
  makeError: MakeError,
): PickleValue | undefined {
  const isRebuild = REBUILDS.some(([, allowed]) => allowed === rebuild);
  if (!isRebuild || !(type instanceof TensorClass) || !(args instanceof Tuple)) return undefined;
  return applyCallable(rebuild as Callable, args.items, makeError);
}

/** Metadata that isn't empty marks lazily conjugated or negated data (torch/_utils.py, `set_tensor_metadata`). */
function refuseMetadata(metadata: PickleValue | undefined, makeError: MakeError): void {
  if (metadata === undefined || metadata === null || (metadata instanceof Map && metadata.size === 0)) return;
  throw makeError("pickle-malformed", "A tensor carries metadata that changes the meaning of its bytes.", {
    expected: "no tensor metadata",
    got: describe(metadata),
    hint: "Save the tensors again after resolve_conj() and resolve_neg().",
  });
}

/**
 * The storage that a persistent id stands for, torch/serialization.py `persistent_load`:
 * ("storage", storage type, key, location, numel), and in legacy streams a sixth item, None or
 * (view key, offset, view size).
 */
export function storageOf(id: PickleValue | undefined, itemCount: 5 | 6, makeError: MakeError): StorageNode {
  const items = id instanceof Tuple ? id.items : [];
  const [tag, type, key, location, numel, view] = items;
  const isNamed = tag === "storage" && typeof key === "string" && typeof location === "string";
  if (items.length !== itemCount || !isNamed || !(type instanceof StorageType) || !isIndex(numel)) {
    throw makeError("pickle-malformed", "A persistent id is not the description of a storage.", {
      expected: `${itemCount}: ("storage", storage type, key, location, number of elements…)`,
      got: id instanceof Tuple ? describeAll(items) : describe(id),
    });
  }
  if (itemCount === 5 || view === null) return new StorageNode(key, type.dtype, numel, 0, numel);
  const [viewKey, start, viewNumel] = view instanceof Tuple && view.items.length === 3 ? view.items : [];
  if (typeof viewKey !== "string" || !isIndex(start) || !isIndex(viewNumel) || start + viewNumel > numel) {
    throw makeError("pickle-malformed", `The view of storage ${quote(key)} is not inside it.`, {
      expected: `None, or (view key, offset, size) within ${numel} elements`,
      got: view instanceof Tuple ? describeAll(view.items) : describe(view),
    });
  }
  return new StorageNode(key, type.dtype, numel, start, viewNumel);
}

function isIndex(value: PickleValue | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isInteger(value: PickleValue | undefined): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function isIntegerTuple(
  value: PickleValue | undefined,
): value is Tuple & { items: readonly (number | bigint)[] } {
  return value instanceof Tuple && value.items.every(isInteger);
}
