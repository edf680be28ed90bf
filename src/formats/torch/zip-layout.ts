/**
 * Lays out a zip as PyTorch's writer does, byte for byte, zip64 included: records are stored, and their data begins at
 * multiples of 64 bytes.
 *
 * Format: APPNOTE.TXT 4.3 and 4.5; torch caffe2/serialize/inline_container.cc `getPadding`; third_party/miniz
 * `mz_zip_writer_add_mem_ex_v2`, `mz_zip_writer_finalize_archive`. Where they differ from APPNOTE, a comment says so.
 */
import { crc32 } from "node:zlib";
import type { FixedPiece } from "../../files/output-file.js";
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

export interface ZipRecord {
  readonly name: Buffer;
  readonly headerOffsetBytes: number;
  readonly dataOffsetBytes: number;
  readonly byteLength: number;
  /** 0 where the data is left open. */
  readonly checksum: number;
}

export interface ZipLayout {
  /** Adds a record whose bytes are known. */
  addBytes(name: string, bytes: Uint8Array): ZipRecord;
  /** Adds a record whose bytes come later. */
  addSpace(name: string, byteLength: number): ZipRecord;
  /** Ends the file. */
  finish(): FinishedZip;
}

export interface FinishedZip {
  readonly byteLength: number;
  /** Everything but the data of records left open, in file order. */
  readonly pieces: readonly FixedPiece[];
  /** Where the CRC-32 of a record left open goes, four bytes each; nowhere for an empty record, whose is 0. */
  checksumsOf(record: ZipRecord): readonly number[];
}

export function createZipLayout(): ZipLayout {
  const records: ZipRecord[] = [];
  const writer = createPieces();
  const begin = (text: string, byteLength: number, checksum: number): void => {
    const name = Buffer.from(text, "utf8");
    const headerOffsetBytes = writer.length();
    writer.put(localHeader(name, byteLength, headerOffsetBytes));
    records.push({ name, headerOffsetBytes, dataOffsetBytes: writer.length(), byteLength, checksum });
  };
  const end = (): ZipRecord => {
    const record = records.at(-1) as ZipRecord;
    if (record.byteLength > 0) writer.put(descriptor(record));
    return record;
  };
  return {
    addBytes(name, bytes) {
      begin(name, bytes.length, crc32(bytes));
      writer.put(bytes);
      return end();
    },
    addSpace(name, byteLength) {
      begin(name, byteLength, 0);
      writer.skip(byteLength);
      return end();
    },
    finish() {
      const directoryOffsetBytes = writer.length();
      const entryOffsets = new Map<ZipRecord, number>();
      for (const record of records) {
        entryOffsets.set(record, writer.length());
        writer.put(directoryEntry(record));
      }
      writer.put(endRecords(records.length, directoryOffsetBytes, writer.length() - directoryOffsetBytes));
      return {
        byteLength: writer.length(),
        pieces: writer.pieces(),
        checksumsOf(record) {
          if (record.byteLength === 0) return [];
          return [
            record.dataOffsetBytes + record.byteLength + CHECKSUM_IN_DESCRIPTOR,
            (entryOffsets.get(record) as number) + CHECKSUM_IN_DIRECTORY,
          ];
        },
      };
    },
  };
}

/** Bytes one behind the other, with gaps; what no gap parts is one piece. */
function createPieces() {
  const pieces: FixedPiece[] = [];
  let parts: Uint8Array[] = [];
  let startBytes = 0;
  let endBytes = 0;
  const close = () => {
    if (parts.length > 0) pieces.push({ offsetBytes: startBytes, bytes: Buffer.concat(parts) });
    parts = [];
    startBytes = endBytes;
  };
  return {
    length: () => endBytes,
    put(bytes: Uint8Array) {
      parts.push(bytes);
      endBytes += bytes.length;
    },
    skip(byteLength: number) {
      if (byteLength === 0) return;
      close();
      endBytes += byteLength;
      startBytes = endBytes;
    },
    pieces(): FixedPiece[] {
      close();
      return pieces;
    },
  };
}

function localHeader(name: Buffer, byteLength: number, offsetBytes: number): Buffer {
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

function descriptor({ byteLength, headerOffsetBytes, checksum }: ZipRecord): Buffer {
  const sizes = isZip64(byteLength, headerOffsetBytes)
    ? u64(byteLength, byteLength)
    : u32(byteLength, byteLength);
  return Buffer.concat([signature(DESCRIPTOR_MAGIC), u32(checksum), sizes]);
}

function directoryEntry({ name, byteLength, headerOffsetBytes, checksum }: ZipRecord): Buffer {
  const extra = zip64Extra(byteLength, byteLength, headerOffsetBytes);
  const size = Math.min(byteLength, ZIP64_FROM);
  return Buffer.concat([
    signature(DIRECTORY_ENTRY_MAGIC),
    u16(0, 0, flagsOf(byteLength), 0, 0, 0),
    u32(checksum, size, size),
    u16(name.length, extra.length, 0, 0, 0),
    u32(0, Math.min(headerOffsetBytes, ZIP64_FROM)),
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

function u16(...values: number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt16LE(value, 2 * i);
  return bytes;
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
}

function u64(...values: number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), 8 * i);
  return bytes;
}
