/**
 * A pickle reader for PyTorch checkpoints alone. Reading runs nothing, recurses nowhere, and takes time and memory in
 * proportion to the bytes, whatever they are; every bad byte ends in a typed error with its offset.
 *
 * The opcodes are those of torch/_weights_only_unpickler.py, plus what newer pickle protocols write for the same
 * values. All multi-byte numbers are little-endian unless noted (CPython, Lib/pickletools.py).
 */
import { ApplyDeltaError, type ErrorCode, type ErrorDetails } from "../../errors.js";
import { allowedGlobal, applyCallable, storageOf } from "./globals.js";
import { OutOfBytes, PickleBytes } from "./pickle-bytes.js";
import {
  Callable,
  Dict,
  describe,
  dictKey,
  Float,
  OrderedDict,
  type PickleValue,
  quote,
  type StorageNode,
  TensorNode,
  Tuple,
} from "./values.js";

/**
 * Stops a small file that becomes large in memory: millions of one-byte EMPTY_LIST, MARK, MEMOIZE or TUPLE1. An
 * opcode adds at most one value, one mark and one memo entry, so this one cap bounds the stack, the marks, the memo
 * and the depth of nesting. A tensor takes about 40 opcodes.
 */
export const MAX_OPCODES = 1 << 18;

/** Which bytes to read, and how to name them in an error. */
export interface PickleSource {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Where `bytes[0]` lies in the file. */
  readonly offsetBytes: number;
}

export interface Unpickled {
  readonly value: PickleValue;
  /** Every storage record that was described, by key, in the order of first mention. */
  readonly storages: ReadonlyMap<string, StorageNode>;
  /** Index of the first byte after the pickle. */
  readonly end: number;
}

/**
 * Reads one pickle from the start of `source.bytes`. `persistentIdItems` is the length of the tuple that describes a
 * storage: 5 in zip checkpoints, 6 in legacy streams. Gives `undefined` if the bytes end before the pickle does, so
 * that a caller can come back with more of them.
 */
export function readPickle(source: PickleSource, persistentIdItems: 5 | 6): Unpickled | undefined {
  const machine = new Machine(source, persistentIdItems);
  try {
    return machine.run();
  } catch (error) {
    if (error instanceof OutOfBytes) return undefined;
    throw error;
  }
}

const STOP = 0x2e;

/** What each allowed opcode does; PROTO to TUPLE3 are protocol 2, SHORT_BINBYTES and on 3, SHORT_BINUNICODE and on 4. */
const OPCODES: ReadonlyMap<number, (m: Machine) => void> = new Map<number, (m: Machine) => void>([
  [0x80, (m) => m.checkProtocol(m.bytes.u8())], // PROTO
  [0x4e, (m) => m.push(null)], // N NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4b, (m) => m.push(m.bytes.u8())], // K BININT1
  [0x4d, (m) => m.push(m.bytes.u16())], // M BININT2
  [0x4a, (m) => m.push(m.bytes.i32())], // J BININT, signed
  // LONG1, at most 255 bytes; LONG4 is refused with all other opcodes, so no integer can be megabytes long.
  [0x8a, (m) => m.push(m.bytes.integer(m.bytes.u8()))],
  [0x47, (m) => m.push(new Float(m.bytes.f64BigEndian()))], // G BINFLOAT
  [0x58, (m) => m.push(m.bytes.text(m.bytes.u32()))], // X BINUNICODE
  [0x55, (m) => m.push(m.bytes.text(m.bytes.u8()))], // U SHORT_BINSTRING, a Python 2 str
  [0x29, (m) => m.push(new Tuple([]))], // ) EMPTY_TUPLE
  [0x5d, (m) => m.push([])], // ] EMPTY_LIST
  [0x7d, (m) => m.push(new Dict())], // } EMPTY_DICT
  [0x28, (m) => m.mark()], // ( MARK
  [0x74, (m) => m.push(new Tuple(m.popToMark()))], // t TUPLE
  [0x85, (m) => m.push(new Tuple(m.popMany(1)))], // TUPLE1
  [0x86, (m) => m.push(new Tuple(m.popMany(2)))], // TUPLE2
  [0x87, (m) => m.push(new Tuple(m.popMany(3)))], // TUPLE3
  [0x61, (m) => m.append(m.popMany(1))], // a APPEND
  [0x65, (m) => m.append(m.popToMark())], // e APPENDS
  [0x73, (m) => m.setItems(m.popMany(2))], // s SETITEM
  [0x75, (m) => m.setItems(m.popToMark())], // u SETITEMS
  [0x71, (m) => m.remember(m.bytes.u8())], // q BINPUT
  [0x72, (m) => m.remember(m.bytes.u32())], // r LONG_BINPUT
  [0x68, (m) => m.recall(m.bytes.u8())], // h BINGET
  [0x6a, (m) => m.recall(m.bytes.u32())], // j LONG_BINGET
  [0x63, (m) => m.pushGlobal(m.bytes.line(), m.bytes.line())], // c GLOBAL
  [0x52, (m) => m.reduce()], // R REDUCE
  [0x62, (m) => m.build()], // b BUILD
  [0x51, (m) => m.pushStorage()], // Q BINPERSID
  [0x43, (m) => m.push(m.bytes.take(m.bytes.u8()))], // C SHORT_BINBYTES
  [0x42, (m) => m.push(m.bytes.take(m.bytes.u32()))], // B BINBYTES
  [0x8c, (m) => m.push(m.bytes.text(m.bytes.u8()))], // SHORT_BINUNICODE
  [0x93, (m) => m.pushGlobal(...(m.popMany(2) as [PickleValue, PickleValue]))], // STACK_GLOBAL
  [0x94, (m) => m.memoize()], // MEMOIZE
  [0x95, (m) => m.checkFrame(m.bytes.u64())], // FRAME
]);

class Machine {
  readonly bytes: PickleBytes;
  /** Index of the opcode being carried out. */
  private opcodeAt = 0;
  private readonly stack: PickleValue[] = [];
  private readonly marks: number[] = [];
  /** By index; a list, as the hash of a number is known. */
  readonly memo: PickleValue[] = [];
  private memoized = 0;
  private readonly storages = new Map<string, StorageNode>();

  constructor(
    private readonly source: PickleSource,
    private readonly persistentIdItems: 5 | 6,
  ) {
    this.bytes = new PickleBytes(source.bytes, this.error);
  }

  run(): Unpickled {
    for (let count = 0; count < MAX_OPCODES; count++) {
      this.opcodeAt = this.bytes.position;
      const opcode = this.bytes.u8();
      if (opcode === STOP) return this.finish();
      const carryOut = OPCODES.get(opcode);
      if (carryOut === undefined) {
        const got = `0x${opcode.toString(16).padStart(2, "0")}`;
        throw this.error("pickle-opcode", `The pickle uses opcode ${got}, which no state dict needs.`, {
          got,
          hint: "Nothing in the file was run; get the weights as safetensors or from a source you trust.",
        });
      }
      carryOut(this);
    }
    throw this.error("pickle-too-large", "The pickle does far more than describe tensors.", {
      expected: `at most ${MAX_OPCODES} opcodes`,
      hint: "The file is damaged or made to exhaust memory; get it again from a source you trust.",
    });
  }

  private finish(): Unpickled {
    const [value] = this.stack;
    if (this.stack.length !== 1 || this.marks.length !== 0 || value === undefined) {
      throw this.error("pickle-malformed", "The pickle does not end with one value.", {
        expected: "1 value and no open mark",
        got: `${this.stack.length} values and ${this.marks.length} open marks`,
      });
    }
    return { value, storages: this.storages, end: this.bytes.position };
  }

  private readonly error = (code: ErrorCode, message: string, details: ErrorDetails = {}): ApplyDeltaError =>
    new ApplyDeltaError(code, message, {
      file: this.source.path,
      offsetBytes: this.source.offsetBytes + this.opcodeAt,
      ...details,
    });

  checkProtocol(version: number): void {
    if (this.opcodeAt === 0 && version >= 2 && version <= 5) return;
    throw this.error("pickle-malformed", "The pickle protocol is unknown.", {
      expected: "2 to 5, said once at the start",
      got: version,
    });
  }

  /** A frame is a hint to read ahead; it must lie within the bytes but its end means nothing. */
  checkFrame(byteLength: bigint): void {
    if (byteLength > BigInt(this.bytes.left)) throw new OutOfBytes();
  }

  push(value: PickleValue): void {
    this.stack.push(value);
  }

  mark(): void {
    this.marks.push(this.stack.length);
  }

  /** The last `count` values, which must have been pushed since the last mark. */
  popMany(count: number): PickleValue[] {
    const floor = this.marks.at(-1) ?? 0;
    if (this.stack.length - count < floor) {
      throw this.error("pickle-malformed", "An opcode takes more values than there are on the stack.", {
        expected: count,
        got: this.stack.length - floor,
      });
    }
    return this.stack.splice(this.stack.length - count);
  }

  popToMark(): PickleValue[] {
    const floor = this.marks.pop();
    if (floor === undefined)
      throw this.error("pickle-malformed", "An opcode needs a mark, and none is open.");
    return this.stack.splice(floor);
  }

  private top(): PickleValue {
    const [value] = this.popMany(1) as [PickleValue];
    this.push(value);
    return value;
  }

  append(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list))
      throw this.unexpected("Items are appended to something other than a list.", list);
    for (const item of items) list.push(item);
  }

  setItems(items: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof Dict)) throw this.unexpected("Items are set in something other than a dict.", dict);
    if (items.length % 2 !== 0) throw this.error("pickle-malformed", "A dict has a key without a value.");
    for (let i = 0; i < items.length; i += 2) {
      const [written, value] = items.slice(i, i + 2) as [PickleValue, PickleValue];
      const key = dictKey(written);
      if (key === undefined) throw this.unexpected("A dict key is neither a string nor a number.", written);
      // No pickler writes a key twice, and letting the last one win would hide a tensor.
      if (dict.has(key)) {
        const code = value instanceof TensorNode ? "duplicate-tensor" : "pickle-malformed";
        const details = typeof written === "string" ? { tensor: written } : {};
        throw this.error(code, `A dict has the key ${describe(written)} twice.`, details);
      }
      dict.set(key, value);
    }
  }

  /** Python counts its entries from 0, and never beyond the number of its opcodes. */
  remember(index: number): void {
    if (index >= MAX_OPCODES)
      throw this.error("pickle-malformed", `Memo entry ${index} is beyond any pickle's.`);
    if (this.memo[index] === undefined) this.memoized++;
    this.memo[index] = this.top();
  }

  memoize(): void {
    this.remember(this.memoized);
  }

  recall(index: number): void {
    const value = this.memo[index];
    if (value === undefined)
      throw this.error("pickle-malformed", `Memo entry ${index} is used but was never set.`);
    this.push(value);
  }

  pushGlobal(module: PickleValue | undefined, name: PickleValue | undefined): void {
    if (typeof module !== "string" || typeof name !== "string") {
      throw this.unexpected("A global is named by something other than strings.", module);
    }
    this.push(allowedGlobal(module, name, this.error));
  }

  reduce(): void {
    const [callable, args] = this.popMany(2);
    if (!(callable instanceof Callable))
      throw this.unexpected("Something that is not a function is called.", callable);
    if (!(args instanceof Tuple)) throw this.unexpected("The arguments of a function are not a tuple.", args);
    this.push(applyCallable(callable, args.items, this.error));
  }

  /** Attributes exist on an OrderedDict only (`_metadata`), say nothing about tensors, and are dropped. */
  build(): void {
    const [state] = this.popMany(1);
    const instance = this.top();
    if (!(instance instanceof OrderedDict)) {
      throw this.unexpected("Attributes are set on something other than an OrderedDict.", instance);
    }
    if (!(state instanceof Dict))
      throw this.unexpected("The attributes of an OrderedDict are not a dict.", state);
  }

  pushStorage(): void {
    const storage = storageOf(this.popMany(1)[0], this.persistentIdItems, this.error);
    const known = this.storages.get(storage.key);
    if (known === undefined) this.storages.set(storage.key, storage);
    else if (known.dtype !== storage.dtype || known.recordNumel !== storage.recordNumel) {
      throw this.error("storage-size", `Storage ${quote(storage.key)} is described twice, and differently.`, {
        expected: `${known.recordNumel} elements of ${known.dtype}`,
        got: `${storage.recordNumel} elements of ${storage.dtype}`,
      });
    }
    this.push(storage);
  }

  private unexpected(message: string, value: PickleValue | undefined): ApplyDeltaError {
    return this.error("pickle-malformed", message, { got: describe(value) });
  }
}
