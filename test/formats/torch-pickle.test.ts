/** What the pickle reader takes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Dict, Float, OrderedDict, StorageNode, TensorNode, Tuple } from "../../src/formats/torch/values.js";
import { ORDERED_DICT, read, refuses, unicode4, value } from "../support/pickle-reads.js";
import {
  assemble,
  globalName,
  long,
  pickle,
  stateDict,
  tensor,
  text,
  tuple,
  u16,
  u32,
  u64,
} from "../support/torch-samples.js";

test("plain values", () => {
  assert.equal(value("N"), null);
  assert.equal(value(0x88), true);
  assert.equal(value(0x89), false);
  assert.equal(value("K", 255), 255);
  assert.equal(value("M", u16(65535)), 65535);
  assert.equal(value("J", u32(0xfffffffe)), -2);
  assert.equal(value(0x8a, 0), 0);
  assert.equal(value(long(-1n)), -1);
  assert.equal(value(long(2n ** 53n - 1n)), 2 ** 53 - 1);
  assert.equal(value(long(2n ** 53n)), 2n ** 53n);
  assert.equal(value(long(-(2n ** 70n), 9)), -(2n ** 70n));
  assert.equal(value(text("\ufeffé")), "\ufeffé");
  assert.equal(value("U", 2, "ab"), "ab");
  assert.deepEqual(value("C", 2, "ab"), assemble("ab").subarray());
  assert.deepEqual(value("G", Buffer.of(0x40, 8, 0, 0, 0, 0, 0, 0)), new Float(3));
  assert.deepEqual(value("(K", 1, "K", 2, "t"), new Tuple([1, 2]));
  assert.deepEqual(value("K", 1, 0x85), new Tuple([1]));
  assert.deepEqual(value("](K", 1, "K", 2, "e"), [1, 2]);
  assert.deepEqual(value("}", text("a"), "K", 1, "s"), new Dict([["a", 1]]));
  assert.deepEqual(value(ORDERED_DICT), new OrderedDict());
});

test("memo, protocol 2 and 4", () => {
  assert.deepEqual(value("K", 7, "q", 3, "h", 3, 0x86), new Tuple([7, 7]));
  assert.deepEqual(value("K", 7, "r", u32(70000), "j", u32(70000), 0x86), new Tuple([7, 7]));
  assert.deepEqual(value("K", 7, 0x94, "h", 0, 0x86), new Tuple([7, 7]));
});

test("protocol 4 frames and stack globals", () => {
  const body = assemble(unicode4("collections"), unicode4("OrderedDict"), 0x93, ")R.");
  assert.deepEqual(read(assemble(0x80, 4, 0x95, u64(BigInt(body.length)), body))?.value, new OrderedDict());
});

test("a tensor is a storage, an offset, a shape and strides", () => {
  const unpickled = read(pickle(tensor({ offset: 1, shape: [3], type: "BFloat16Storage" })));
  const storage = new StorageNode("0", "BF16", 4, 0, 4);
  assert.deepEqual(unpickled?.value, new TensorNode(storage, 1, [3], [1]));
  assert.deepEqual([...(unpickled?.storages ?? [])], [["0", storage]]);
});

test("the older and newer spellings of a tensor", () => {
  const id = tuple(text("storage"), globalName("torch", "HalfStorage"), text("0"), text("cpu"), "K", 4);
  const old = assemble("(", id, "QK", 1, "K", 3, 0x85, "K", 1, 0x85, "tR");
  assert.deepEqual(
    value(globalName("torch._utils", "_rebuild_tensor"), old),
    value(tensor({ offset: 1, shape: [3] })),
  );
  const parameter = globalName("torch._utils", "_rebuild_parameter_with_state");
  assert.deepEqual(value(parameter, "(", tensor(), 0x88, "N}tR"), value(tensor()));
  refuses(pickle(parameter, "(", tensor(), 0x88, "NtR"), "pickle-malformed");
});

/** The arguments of a tensor of `numel` bytes, before its dtype. */
const untyped = (numel: number, extent: number) =>
  assemble(
    tuple(text("storage"), globalName("torch.storage", "UntypedStorage"), text("0"), text("cpu"), "K", numel),
    assemble("QK", 0, "K", extent, 0x85, "K", 1, 0x85, 0x89, "N"),
  );
const V3 = globalName("torch._utils", "_rebuild_tensor_v3");

test("a tensor over untyped bytes has the dtype it names", () => {
  const got = value(V3, "(", untyped(4, 2), globalName("torch", "uint16"), "tR");
  assert.deepEqual(got, new TensorNode(new StorageNode("0", "U8", 4, 0, 4), 0, [2], [1], "U16"));
  refuses(pickle(V3, "(", untyped(4, 2), "NtR"), "pickle-malformed");
  refuses(pickle(V3, "(", untyped(4, 2), "tR"), "pickle-malformed");
  const negated = assemble("}", text("neg"), 0x88, "s");
  refuses(pickle(V3, "(", untyped(4, 2), globalName("torch", "uint16"), negated, "tR"), "pickle-malformed");
});

const FROM_TYPE = globalName("torch._tensor", "_rebuild_from_type_v2");
const V2 = globalName("torch._utils", "_rebuild_tensor_v2");

test("a tensor with attributes is the tensor, and of no other class", () => {
  const typed = (rebuild: Buffer, type: Buffer) =>
    assemble(FROM_TYPE, "(", rebuild, type, "(", untyped(4, 4), "t}", text("tag"), "K", 1, "stR");
  const plain = value(V2, "(", untyped(4, 4), "tR");
  assert.ok(plain instanceof TensorNode);
  assert.deepEqual(value(typed(V2, globalName("torch", "Tensor"))), plain);
  assert.deepEqual(value(typed(V2, globalName("torch.nn.parameter", "Parameter"))), plain);
  refuses(pickle(typed(V2, globalName("my.code", "Tensor"))), "pickle-global");
  refuses(pickle(typed(V2, globalName("torch", "uint8"))), "pickle-malformed");
  refuses(
    pickle(typed(globalName("collections", "OrderedDict"), globalName("torch", "Tensor"))),
    "pickle-malformed",
  );
  refuses(pickle(typed(FROM_TYPE, globalName("torch", "Tensor"))), "pickle-malformed");
  refuses(pickle(FROM_TYPE, "(", V2, globalName("torch", "Tensor"), "]NtR"), "pickle-malformed");
});

test("the end of the pickle is given, and what follows is left alone", () => {
  const one = pickle("K", 1);
  assert.equal(read(assemble(one, one))?.end, one.length);
});

test("__proto__ is a key like any other", () => {
  const dict = read(
    stateDict({ __proto__x: tensor(), ["__proto__"]: tensor(), constructor: tensor() }),
  )?.value;
  assert.ok(dict instanceof Dict);
  assert.deepEqual([...dict.keys()], ["__proto__x", "__proto__", "constructor"]);
  assert.equal(Object.getPrototypeOf(dict), Dict.prototype);
});

test("BUILD on an OrderedDict is dropped, __proto__ and all", () => {
  const state = assemble("}", text("__proto__"), "}", text("polluted"), 0x88, "ss");
  const dict = value(ORDERED_DICT, state, "b");
  assert.deepEqual(dict, new OrderedDict());
  assert.equal(Object.getPrototypeOf(dict), OrderedDict.prototype);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});
