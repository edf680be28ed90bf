/** Whatever the pickle reader doesn't take ends in a typed error and runs nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_OPCODES } from "../../src/formats/torch/pickle.js";
import { TensorNode, Tuple } from "../../src/formats/torch/values.js";
import { ORDERED_DICT, read, refuses, unicode4, value } from "../support/pickle-reads.js";
import {
  assemble,
  globalName,
  pickle,
  stateDict,
  tensor,
  text,
  tuple,
  u32,
  u64,
} from "../support/torch-samples.js";

test("BUILD on anything else is refused", () => {
  const state = assemble("}", text("__proto__"), "}s");
  for (const target of [
    globalName("collections", "OrderedDict"),
    assemble("}"),
    assemble("]"),
    tensor(),
    globalName("torch", "HalfStorage"),
  ]) {
    refuses(pickle(target, state, "b"), "pickle-malformed");
  }
  refuses(pickle(ORDERED_DICT, "]b"), "pickle-malformed");
});

const OS_SYSTEM = globalName("os", "system");
const FOREIGN: Record<string, Buffer> = {
  GLOBAL: pickle(OS_SYSTEM),
  "GLOBAL and REDUCE": pickle(OS_SYSTEM, "(", text("true"), "tR"),
  STACK_GLOBAL: pickle(unicode4("os"), unicode4("system"), 0x93),
  "STACK_GLOBAL from the memo": pickle(text("os"), "q", 0, text("system"), "q", 1, "h", 0, "h", 1, 0x93),
  "inside REDUCE arguments": pickle(globalName("torch._utils", "_rebuild_tensor_v2"), "(", OS_SYSTEM, "tR"),
  "as BUILD state": pickle(ORDERED_DICT, OS_SYSTEM, "b"),
  "before NEWOBJ": pickle(OS_SYSTEM, ")", 0x81),
  "in a dict key": pickle("}", OS_SYSTEM, "K", 1, "s"),
  "as a storage type": pickle(tuple(text("storage"), OS_SYSTEM, text("0"), text("cpu"), "K", 1), "Q"),
};
for (const [where, bytes] of Object.entries(FOREIGN)) {
  test(`a foreign global is refused by name: ${where}`, () => {
    assert.match(refuses(bytes, "pickle-global").message, /"os\.system"/);
  });
}

test("the allow-list is exact", () => {
  const pairs: [string, string][] = [
    ["torch", "FloatTensor"],
    ["torch", "undefined"],
    ["torch", "halfStorage"],
    ["torch.", "HalfStorage"],
    ["torch.cuda", "HalfStorage"],
    ["torch HalfStorage", ""],
    ["", "torch HalfStorage"],
    ["torch", "_utils._rebuild_tensor_v2"],
    ["torch._utils", "_rebuild_qtensor"],
    ["collections", "defaultdict"],
    ["Collections", "OrderedDict"],
    ["builtins", "eval"],
    ["__proto__", "constructor"],
    ["", ""],
  ];
  for (const [module, name] of pairs) refuses(pickle(globalName(module, name)), "pickle-global", 2);
});

test("every opcode that is not allowed is refused with its number and place", () => {
  const allowed = Buffer.from("NKMJGXU)]}(taesuqrhjcRbQCB.", "latin1");
  const newer = [0x80, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x93, 0x94, 0x95];
  let refused = 0;
  for (let opcode = 0; opcode < 256; opcode++) {
    if (allowed.includes(opcode) || newer.includes(opcode)) continue;
    const error = refuses(assemble(0x80, 2, "N", opcode, Buffer.alloc(32)), "pickle-opcode", 3);
    assert.equal(error.details.got, `0x${opcode.toString(16).padStart(2, "0")}`);
    refused++;
  }
  assert.equal(refused, 256 - allowed.length - newer.length);
});

test("a long of megabytes is refused before it is read", () => {
  refuses(pickle(0x8b, u32(0x7fffffff)), "pickle-opcode", 2);
});

const MALFORMED: Record<string, Buffer> = {
  "nothing on the stack at STOP": pickle(),
  "two values at STOP": pickle("NN"),
  "an open mark at STOP": pickle("N("),
  "TUPLE2 with one value": pickle("N", 0x86),
  "TUPLE1 reaching below a mark": pickle("N(", 0x85),
  "TUPLE without a mark": pickle("Nt"),
  "APPENDS without a mark": pickle("]e"),
  "SETITEMS without a mark": pickle("}u"),
  "REDUCE with one value": pickle(")R"),
  "BINPERSID on an empty stack": pickle("Q"),
  "BINPUT on an empty stack": pickle("q", 0),
  "BINPUT right after a mark": pickle("N(q", 0),
  "MEMOIZE on an empty stack": pickle(0x94),
  "an unknown memo entry": pickle("h", 9),
  "an unknown long memo entry": pickle("j", u32(0xffffffff)),
  "APPEND to a tuple": pickle(")Na"),
  "APPENDS to a dict": pickle("}(Ne"),
  "SETITEM on a list": pickle("]NNs"),
  "SETITEMS on a tensor": pickle(tensor(), "(NNu"),
  "SETITEMS with a key alone": pickle("}(Nu"),
  "a dict key that is a list": pickle("}]Ns"),
  "a dict key that is a dict": pickle("}}Ns"),
  "a dict key that is a float": pickle("}G", Buffer.alloc(8), "Ns"),
  "a key twice": pickle("}(", text("a"), "N", text("a"), "Nu"),
  "a call of a string": pickle(text("os.system"), ")R"),
  "a call of a storage type": pickle(globalName("torch", "HalfStorage"), ")R"),
  "a call with a list": pickle(globalName("collections", "OrderedDict"), "]R"),
  "an OrderedDict with arguments": pickle(globalName("collections", "OrderedDict"), "](Nt", 0x85, "R"),
  "STACK_GLOBAL of numbers": pickle("K", 1, "K", 2, 0x93),
  "protocol 1": assemble(0x80, 1, "N."),
  "protocol 6": assemble(0x80, 6, "N."),
  "PROTO in the middle": pickle("N", 0x80, 2),
  "a string that is not UTF-8": pickle("X", u32(2), 0xc3, 0x28),
  "a lone surrogate": pickle("X", u32(3), 0xed, 0xa0, 0x80),
  "a global that is not UTF-8": assemble(0x80, 2, "c", 0xff, "\nx\n."),
  "a persistent id that is no tuple": pickle(text("0"), "Q"),
  "a persistent id of four": pickle(tuple("NNNN"), "Q"),
  "a persistent id of a module": pickle(
    tuple(text("module"), globalName("torch", "HalfStorage"), text("0"), text("cpu"), "K", 1),
    "Q",
  ),
  "a storage without a type": pickle(tuple(text("storage"), "N", text("0"), text("cpu"), "K", 1), "Q"),
  "a storage key that is a number": pickle(
    tuple(text("storage"), globalName("torch", "HalfStorage"), "K", 0, text("cpu"), "K", 1),
    "Q",
  ),
  "a storage of -1 elements": pickle(tensor({ numel: -1 })),
  "a tensor that is no parameter's data": pickle(
    globalName("torch._utils", "_rebuild_parameter"),
    "(N",
    0x88,
    "NtR",
  ),
  "a parameter with one argument": pickle(
    globalName("torch._utils", "_rebuild_parameter"),
    "(",
    tensor(),
    "tR",
  ),
  "a tensor of five arguments": pickle(globalName("torch._utils", "_rebuild_tensor_v2"), "(NNNNNtR"),
  "a tensor of None": pickle(globalName("torch._utils", "_rebuild_tensor_v2"), "(NNNNNNtR"),
  "an old tensor of six arguments": pickle(globalName("torch._utils", "_rebuild_tensor"), "(NNNNNNtR"),
};
for (const [what, bytes] of Object.entries(MALFORMED)) {
  test(`malformed: ${what}`, () => void refuses(bytes, "pickle-malformed"));
}

test("malformed: a float as an extent, a negated tensor", () => {
  const storage = tuple(text("storage"), globalName("torch", "HalfStorage"), text("0"), text("cpu"), "K", 4);
  const rebuild = (...rest: (string | number | Buffer)[]) =>
    pickle(globalName("torch._utils", "_rebuild_tensor_v2"), "(", storage, "Q", ...rest, "tR");
  assert.ok(read(rebuild("K", 0, "K", 4, 0x85, "K", 1, 0x85, 0x89, "N", "}"))?.value instanceof TensorNode);
  refuses(rebuild("K", 0, "G", Buffer.alloc(8), 0x85, "K", 1, 0x85, 0x89, "N"), "pickle-malformed");
  refuses(rebuild("K", 0, "](K", 4, "e", "K", 1, 0x85, 0x89, "N"), "pickle-malformed");
  const negated = assemble("}", text("neg"), 0x88, "s");
  refuses(rebuild("K", 0, "K", 4, 0x85, "K", 1, 0x85, 0x89, "N", negated), "pickle-malformed");
});

test("a name given twice is a duplicate tensor", () => {
  const twice = pickle("}(", text("w"), tensor(), text("w"), tensor(), "u");
  assert.equal(refuses(twice, "duplicate-tensor").details.tensor, "w");
});

test("a storage described twice must be the same storage", () => {
  refuses(pickle(tensor(), tensor({ numel: 5 }), 0x86), "storage-size");
  refuses(pickle(tensor(), tensor({ type: "BFloat16Storage" }), 0x86), "storage-size");
  assert.ok(read(pickle(tensor(), tensor({ offset: 2, shape: [2] }), 0x86)));
});

test("truncation anywhere asks for more bytes", () => {
  const whole = stateDict({ weight: tensor(), other: tensor({ key: "1", shape: [2, 2], strides: [2, 1] }) });
  for (let length = 0; length < whole.length; length++)
    assert.equal(read(whole.subarray(0, length)), undefined);
  assert.ok(read(whole));
});

test("a length beyond the end allocates nothing", () => {
  assert.equal(read(assemble(0x80, 2, "X", u32(0xffffffff), "abc")), undefined);
  assert.equal(read(assemble(0x80, 2, "B", u32(0xffffffff), "abc")), undefined);
  assert.equal(read(assemble(0x80, 4, 0x95, u64(2n ** 64n - 1n), "N.")), undefined);
});

const BOMBS: Record<string, Buffer> = {
  "lists on the stack": Buffer.alloc(MAX_OPCODES + 1, "]"),
  "open marks": Buffer.alloc(MAX_OPCODES + 1, "("),
  "memo entries": assemble("N", Buffer.alloc(MAX_OPCODES + 1, 0x94)),
  "tuples in tuples": assemble("N", Buffer.alloc(MAX_OPCODES + 1, 0x85)),
};
for (const [what, bytes] of Object.entries(BOMBS)) {
  test(`too large: a million ${what}`, () => void refuses(assemble(0x80, 2, bytes), "pickle-too-large"));
}

test("nesting and sharing cost no recursion and no expansion", () => {
  const depth = 200_000;
  assert.ok(value("N", Buffer.alloc(depth, 0x85)) instanceof Tuple);
  // Each level holds the level below ten times: 10 to the 40 leaves, if anything ever walked them.
  const levels = Array.from({ length: 40 }, (_, i) =>
    assemble("q", i, "(", ...Array(10).fill(assemble("h", i)), "t"),
  );
  const laughs = assemble(...levels.flatMap((level) => [level, 0x86]), "N");
  assert.ok(value("N", laughs, 0x86) instanceof Tuple);
  assert.deepEqual((value("]q", 0, "h", 0, "a") as unknown[]).length, 1);
});
