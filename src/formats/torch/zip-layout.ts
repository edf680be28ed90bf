/**
 * Lays out a zip as PyTorch's writer does, byte for byte, zip64 included: records are stored, and their data begins at
 * multiples of 64 bytes.
 *
 * Format: APPNOTE.TXT 4.3 and 4.5; torch caffe2/serialize/inline_container.cc `getPadding`; third_party/miniz
 * `mz_zip_writer_add_mem_ex_v2`, `mz_zip_writer_finalize_archive`. Where they differ from APPNOTE, a comment says so.
 */
import { crc32 } from "node:zlib";
import type { PlacedEntry, ShardLayout } from "../format.js";
import {
  DESCRIPTOR_MAGIC,
  DIRECTORY_ENTRY_MAGIC,
  END_MAGIC,
  LOCAL_HEADER_BYTES,
  LOCAL_HEADER_MAGIC,
  ZIP64_END_MAGIC,
  ZIP64_LOCATOR_MAGIC,
} from "./zip-format.js";

/** Data begins at multiples of this (inline_container.h, `kFieldAlignment`). */
const ALIGNMENT_BYTES = 64;

/** From here on a size or an offset stands in a zip64 field. */
const ZIP64_FROM = 0xffffffff;

/** Names are UTF-8. */
const FLAG_UTF8 = 0x0800;
/** Sizes and checksum stand behind the data: in every record that isn't empty. */
const FLAG_DESCRIPTOR = 0x0008;

/** Where the checksum is in a data descriptor, and in an entry of the directory. */
const CHECKSUM_IN_DESCRIPTOR = 4;
const CHECKSUM_IN_DIRECTORY = 16;

/** "Made by" and "needed to extract" of the zip64 end: Unix 3.0, and 4.5 for zip64. */
const MADE_BY = 0x031e;
const NEEDED = 45;

/** What a record's headers say. */
interface Header {
  readonly name: Buffer;
  readonly offsetBytes: number;
  readonly byteLength: number;
  /** 0 where the data comes later. */
  readonly checksum: number;
}

/**
 * `content`: a record's bytes, or how many will come later. Gives everything else in file order, and where each record's
 * data is; `checksumAt`: where its CRC-32 goes, nowhere for none, whose CRC-32 is 0.
 */
export function layOutZip(
  records: readonly { readonly name: string; readonly content: Uint8Array | number }[],
): Omit<ShardLayout<never>, "placed"> & { readonly placed: readonly Omit<PlacedEntry<never>, "tensor">[] } {
  let end = 0;
  let parts: Uint8Array[] = [];
  const runs = [{ offsetBytes: 0, parts }];
  const put = (bytes: Uint8Array) => {
    parts.push(bytes);
    end += bytes.length;
  };
  const skip = (byteLength: number) => {
    end += byteLength;
    parts = [];
    runs.push({ offsetBytes: end, parts });
  };
  const written = records.map(({ name, content }) => {
    const isLater = typeof content === "number";
    const byteLength = isLater ? content : content.length;
    const checksum = isLater ? 0 : crc32(content);
    const header = { name: Buffer.from(name, "utf8"), offsetBytes: end, byteLength, checksum };
    put(localHeader(header));
    const dataOffsetBytes = end;
    if (!isLater) put(content);
    else if (content > 0) skip(content);
    if (byteLength > 0) put(descriptor(header));
    return { header, dataOffsetBytes };
  });
  const directoryOffsetBytes = end;
  const placed = written.map(({ header, dataOffsetBytes }) => {
    const { byteLength } = header;
    const inDescriptor = dataOffsetBytes + byteLength + CHECKSUM_IN_DESCRIPTOR;
    const checksumAt = byteLength === 0 ? [] : [inDescriptor, end + CHECKSUM_IN_DIRECTORY];
    put(directoryEntry(header));
    return { offsetBytes: dataOffsetBytes, byteLength, checksumAt };
  });
  put(endRecords(records.length, directoryOffsetBytes, end - directoryOffsetBytes));
  const pieces = runs.map((run) => ({ offsetBytes: run.offsetBytes, bytes: Buffer.concat(run.parts) }));
  return { byteLength: end, pieces, placed };
}

function localHeader({ name, byteLength, offsetBytes }: Header): Buffer {
  // The stored size is 0 here: the writer doesn't know it yet. Nor does APPNOTE want an offset in this place.
  const extra = zip64Extra(byteLength, 0, offsetBytes);
  const padding = paddingTo(offsetBytes + LOCAL_HEADER_BYTES + name.length + extra.length);
  return Buffer.concat([
    signature(LOCAL_HEADER_MAGIC),
    u16(0, flagsOf(byteLength), 0, 0, 0),
    u32(0, 0, 0),
    u16(name.length, extra.length + padding.length),
    name,
    extra,
    padding,
  ]);
}

/** An extra field of letters that ends where the next data may begin. */
function paddingTo(offsetBytes: number): Buffer {
  const head = Buffer.from("FB\0\0", "latin1");
  const length = (ALIGNMENT_BYTES - ((offsetBytes + head.length) % ALIGNMENT_BYTES)) % ALIGNMENT_BYTES;
  head.writeUInt16LE(length, 2);
  return Buffer.concat([head, Buffer.alloc(length, "Z")]);
}

function descriptor({ byteLength, offsetBytes, checksum }: Header): Buffer {
  const size = isZip64(byteLength, offsetBytes) ? u64 : u32;
  return Buffer.concat([signature(DESCRIPTOR_MAGIC), u32(checksum), size(byteLength, byteLength)]);
}

function directoryEntry({ name, byteLength, offsetBytes, checksum }: Header): Buffer {
  const extra = zip64Extra(byteLength, byteLength, offsetBytes);
  const size = Math.min(byteLength, ZIP64_FROM);
  return Buffer.concat([
    signature(DIRECTORY_ENTRY_MAGIC),
    u16(0, 0, flagsOf(byteLength), 0, 0, 0),
    u32(checksum, size, size),
    u16(name.length, extra.length, 0, 0, 0),
    u32(0, Math.min(offsetBytes, ZIP64_FROM)),
    name,
    extra,
  ]);
}

/** The zip64 end, its locator and the plain end: PyTorch writes all three whatever the file's size. */
function endRecords(count: number, offsetBytes: number, byteLength: number): Buffer {
  return Buffer.concat([
    signature(ZIP64_END_MAGIC),
    u64(44), // Bytes of this record from here on.
    u16(MADE_BY, NEEDED),
    u32(0, 0),
    u64(count, count, byteLength, offsetBytes),
    signature(ZIP64_LOCATOR_MAGIC),
    u32(0),
    u64(offsetBytes + byteLength),
    u32(1),
    signature(END_MAGIC),
    u16(0, 0, Math.min(count, 0xffff), Math.min(count, 0xffff)),
    u32(Math.min(byteLength, ZIP64_FROM), Math.min(offsetBytes, ZIP64_FROM)),
    u16(0),
  ]);
}

function flagsOf(byteLength: number): number {
  return byteLength > 0 ? FLAG_UTF8 | FLAG_DESCRIPTOR : FLAG_UTF8;
}

function isZip64(byteLength: number, offsetBytes: number): boolean {
  return byteLength >= ZIP64_FROM || offsetBytes >= ZIP64_FROM;
}

/** The values too large for their plain fields; nothing where there are none. */
function zip64Extra(byteLength: number, storedByteLength: number, offsetBytes: number): Buffer {
  if (!isZip64(byteLength, offsetBytes)) return Buffer.alloc(0);
  const sizes = byteLength >= ZIP64_FROM ? [byteLength, storedByteLength] : [];
  const values = u64(...sizes, ...(offsetBytes >= ZIP64_FROM ? [offsetBytes] : []));
  return Buffer.concat([u16(1, values.length), values]);
}

function signature(magic: string): Buffer {
  return Buffer.from(magic, "latin1");
}

const u16 = (...values: number[]) => littleEndian(2, values);
const u32 = (...values: number[]) => littleEndian(4, values);
const u64 = (...values: number[]) => littleEndian(8, values);

function littleEndian(byteLength: number, values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(byteLength * values.length);
  // Node writes at most 48 bits, and no file is longer than they count.
  for (const [i, value] of values.entries())
    bytes.writeUIntLE(value, byteLength * i, Math.min(byteLength, 6));
  return bytes;
}
