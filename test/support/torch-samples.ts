/**
 * Makes PyTorch checkpoints by hand, valid or broken in one chosen place: a pickle assembler, a writer of stored zip
 * files whose every field can be set, legacy streams, and the bytes of a view.
 */
import { bitsOf, elementCount, type TensorView } from "../../src/tensor.js";
import type { MemoryFile } from "./memory-file.js";

type Part = string | number | Buffer;

/** Strings are opcodes in ASCII, numbers single bytes. */
export function assemble(...parts: Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) =>
      typeof part === "string"
        ? Buffer.from(part, "latin1")
        : typeof part === "number"
          ? Buffer.of(part)
          : part,
    ),
  );
}

/** A protocol 2 pickle around the given opcodes. */
export function pickle(...parts: Part[]): Buffer {
  return assemble(0x80, 2, ...parts, ".");
}

export function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  return assemble("X", u32(bytes.length), bytes);
}

export function long(value: bigint, byteLength = 10): Buffer {
  const bytes = Buffer.alloc(byteLength);
  for (let i = 0; i < byteLength; i++) bytes[i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return assemble(0x8a, byteLength, bytes);
}

export function tuple(...parts: Part[]): Buffer {
  return assemble("(", ...parts, "t");
}

export function globalName(module: string, name: string): Buffer {
  return assemble("c", module, "\n", name, "\n");
}

export interface TensorSample {
  key?: string;
  type?: string;
  numel?: number;
  offset?: number | bigint;
  shape?: readonly (number | bigint)[];
  strides?: readonly (number | bigint)[];
  /** Set, the persistent id has the sixth item of legacy streams. */
  legacyView?: Buffer;
}

/** The opcodes that leave one float16 tensor of four elements on the stack, or what is asked for. */
export function tensor(sample: TensorSample = {}): Buffer {
  const { key = "0", type = "HalfStorage", numel = 4, offset = 0, shape = [4], strides = [1] } = sample;
  const integers = (values: readonly (number | bigint)[]) =>
    tuple(...values.map((value) => long(BigInt(value))));
  const id = [text("storage"), globalName("torch", type), text(key), text("cpu"), long(BigInt(numel))];
  if (sample.legacyView !== undefined) id.push(sample.legacyView);
  const hooks = assemble(globalName("collections", "OrderedDict"), ")R");
  const args = tuple(
    tuple(...id),
    "Q",
    long(BigInt(offset)),
    integers(shape),
    integers(strides),
    0x89,
    hooks,
  );
  return assemble(globalName("torch._utils", "_rebuild_tensor_v2"), args, "R");
}

/** A pickled dict from names to the values the given opcodes make. */
export function stateDict(entries: Record<string, Buffer>): Buffer {
  return pickle("}(", ...Object.entries(entries).flatMap(([name, value]) => [text(name), value]), "u");
}

export interface ZipEntrySample {
  name: string;
  data: Buffer;
  method?: number;
  flags?: number;
  /** Overrides in the directory; the local header stays true. */
  directory?: {
    byteLength?: number;
    /** Where it says that there is more than there is: an entry's length once it is inflated. */
    expandedLength?: number;
    headerOffset?: number;
    extra?: Buffer;
    name?: string;
  };
  localName?: string;
  localExtra?: Buffer;
}

/** What both headers of an entry begin with, behind the versions. */
const common = ({ method = 0, flags = 0x800 }: ZipEntrySample, size: number, expanded: number) =>
  assemble(u16(flags), u16(method), u32(0), u32(0), u32(size), u32(expanded));

function localRecord(entry: ZipEntrySample): Buffer {
  const { data } = entry;
  const name = Buffer.from(entry.localName ?? entry.name, "utf8");
  const padding = entry.localExtra ?? assemble("FB", u16(6), Buffer.alloc(6));
  const fields = common(entry, data.length, data.length);
  return assemble("PK\x03\x04", u16(20), fields, u16(name.length), u16(padding.length), name, padding, data);
}

function directoryRecord(entry: ZipEntrySample, position: number): Buffer {
  const { data, directory: listed = {} } = entry;
  const size = listed.byteLength ?? data.length;
  const name = Buffer.from(listed.name ?? entry.name, "utf8");
  const extra = listed.extra ?? Buffer.alloc(0);
  return assemble(
    ...["PK\x01\x02", u16(20), u16(20), common(entry, size, listed.expandedLength ?? size)],
    ...[u16(name.length), u16(extra.length), u16(0), u16(0), u16(0), u32(0)],
    ...[u32(listed.headerOffset ?? position), name, extra],
  );
}

/** A zip of stored entries. `end` overrides fields of its end record. */
export function storedZip(
  entries: readonly ZipEntrySample[],
  end: { entryCount?: number; directoryOffset?: number; before?: Buffer } = {},
): Buffer {
  const body: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  for (const entry of entries) {
    const local = localRecord(entry);
    body.push(local);
    directory.push(directoryRecord(entry, position));
    position += local.length;
  }
  const listing = Buffer.concat(directory);
  const count = u16(end.entryCount ?? entries.length);
  const offset = end.directoryOffset ?? position;
  const before = end.before ?? Buffer.alloc(0);
  return assemble(
    ...body,
    listing,
    before,
    "PK\x05\x06",
    u32(0),
    count,
    count,
    u32(listing.length),
    u32(offset),
    u16(0),
  );
}

/** The entries of a checkpoint with `pkl` and storage "0" of eight bytes, and others if given. */
export function checkpointEntries(
  pkl: Buffer,
  records: Record<string, Buffer> = { "0": Buffer.alloc(8) },
): ZipEntrySample[] {
  const data = Object.entries(records).map(([key, bytes]) => ({ name: `archive/data/${key}`, data: bytes }));
  return [
    { name: "archive/data.pkl", data: pkl },
    ...data,
    { name: "archive/version", data: Buffer.from("3\n") },
  ];
}

export interface LegacySample {
  magic?: Buffer;
  protocol?: Buffer;
  systemInfo?: Buffer;
  object?: Buffer;
  keys?: Buffer;
  data?: Buffer;
}

/** A legacy stream with storage "0" of four float16 elements; each part can be replaced. */
export function legacyStream(parts: LegacySample = {}): Buffer {
  return assemble(
    parts.magic ?? pickle(long(0x1950a86a20f9469cfc6cn, 10)),
    parts.protocol ?? pickle("M", u16(1001)),
    parts.systemInfo ?? pickle("}", text("little_endian"), 0x88, "s"),
    parts.object ?? stateDict({ weight: tensor({ legacyView: assemble("N") }) }),
    parts.keys ?? pickle("]", text("0"), "a"),
    parts.data ?? assemble(u64(4n), Buffer.alloc(8)),
  );
}

/** The elements of a view in row-major order. */
export function gather(view: TensorView<MemoryFile>): Buffer {
  const [{ file, offsetBytes, strides }] = view.pieces;
  const { bytes } = file;
  const elementBytes = bitsOf(view.dtype) / 8;
  const count = elementCount(view.shape);
  const gathered = Buffer.alloc(count * elementBytes);
  for (let element = 0; element < count; element++) {
    let rest = element;
    let source = offsetBytes;
    for (let dim = view.shape.length - 1; dim >= 0; dim--) {
      const extent = view.shape[dim] ?? 1;
      source += (rest % extent) * (strides[dim] ?? 0) * elementBytes;
      rest = Math.floor(rest / extent);
    }
    bytes.copy(gathered, element * elementBytes, source, source + elementBytes);
  }
  return gathered;
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}
