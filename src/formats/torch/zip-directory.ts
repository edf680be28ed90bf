/**
 * The directory of a zip file whose entries are stored, not compressed. yauzl reads it (end record, zip64, extra
 * fields) over windows of our file; data is never read here.
 *
 * CRC-32 values are not verified: PyTorch can be told to leave them 0 (`torch.serialization.set_crc32_options`), and to
 * check one means to read the whole file before anything can be said about it.
 */
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader } from "yauzl";
import { ApplyDeltaError, type ErrorDetails, isApplyDeltaError } from "../../errors.js";
import type { RandomAccessFile } from "../../tensor.js";
import { startsWith } from "../format.js";
import { END_MAGIC, LOCAL_HEADER_BYTES, LOCAL_HEADER_MAGIC, ZIP64_END_MAGIC } from "./zip-format.js";

/** Stops a directory of millions of entries, which takes seconds and memory to list; a checkpoint has hundreds. */
const MAX_ENTRIES = 1 << 16;

/** Stops a directory whose names fill the memory: an entry takes some hundred bytes. */
const MAX_DIRECTORY_BYTES = 16 * 1024 * 1024;

/** Extra field "Info-ZIP Unicode Path": another name for the entry, which PyTorch doesn't read (APPNOTE 4.6.9). */
const UNICODE_PATH = 0x7075;

/** The longest end record: zip64 locator 20, end record 22, comment at most 65535 bytes. */
const TAIL_BYTES = 20 + 22 + 0xffff;

/** How much of the directory is read at once where it does not fit in the tail. */
const READ_AHEAD_BYTES = 256 * 1024;

/** General purpose bit 0. */
const ENCRYPTED = 1;

export interface StoredEntry {
  readonly name: string;
  readonly byteLength: number;
  readonly compressionMethod: number;
  readonly headerOffsetBytes: number;
  /** As the directory spells it, to compare with the local header. */
  readonly rawName: Buffer;
}

export interface ZipDirectory {
  readonly entries: ReadonlyMap<string, StoredEntry>;
  /** First byte of the directory: no entry reaches it. */
  readonly startBytes: number;
  /** Where data begins, by name, as far as it was asked for. */
  readonly dataStarts: Map<string, number>;
}

/** Reads the directory of a zip file: two or three reads, whatever the number of entries. */
export async function readZipDirectory(file: RandomAccessFile): Promise<ZipDirectory> {
  const tailStart = Math.max(0, file.byteLength - TAIL_BYTES);
  const tail = asBuffer(await file.read(tailStart, file.byteLength - tailStart));
  if (tail.lastIndexOf(END_MAGIC, undefined, "latin1") === -1) {
    throw new ApplyDeltaError("truncated-file", "The PyTorch file (a zip) has no end: it is incomplete.", {
      file: file.path,
      offsetBytes: file.byteLength,
      expected: "the zip's directory at the end of the file",
    });
  }
  try {
    return await scan(file, new WindowReader(file, tail, tailStart));
  } catch (cause) {
    if (isApplyDeltaError(cause)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw malformed(file, "The directory of the zip file is damaged.", { got: reason, cause });
  }
}

async function scan(file: RandomAccessFile, reader: WindowReader): Promise<ZipDirectory> {
  // strictFileNames: a name with a backslash is an error, not silently another name.
  const options = { autoClose: false, strictFileNames: true };
  const zip = await fromRandomAccessReaderPromise(reader, file.byteLength, options);
  if (zip.entryCount > MAX_ENTRIES) {
    throw malformed(file, "The zip file has far more entries than a checkpoint.", {
      expected: `at most ${MAX_ENTRIES}`,
      got: zip.entryCount,
    });
  }
  reader.forgetExtent();
  const entries = new Map<string, StoredEntry>();
  for await (const entry of zip.eachEntry()) {
    if (reader.highestOffset - reader.lowestOffset > MAX_DIRECTORY_BYTES) {
      throw malformed(file, "The directory of the zip file is far longer than a checkpoint's.", {
        expected: `at most ${MAX_DIRECTORY_BYTES} bytes`,
      });
    }
    if (entries.has(entry.fileName)) {
      throw malformed(file, `The zip file has two entries named ${JSON.stringify(entry.fileName)}.`);
    }
    entries.set(entry.fileName, storedEntry(file, entry));
  }
  const startBytes = Math.min(reader.lowestOffset, file.byteLength);
  if (entries.size > 0) await checkEnd(file, reader.highestOffset);
  checkExtents(file, Array.from(entries.values(), headerExtent), startBytes);
  return { entries, startBytes, dataStarts: new Map() };
}

function storedEntry(file: RandomAccessFile, entry: Entry): StoredEntry {
  if ((entry.generalPurposeBitFlag & ENCRYPTED) !== 0) {
    throw malformed(file, `The zip entry ${JSON.stringify(entry.fileName)} is encrypted.`);
  }
  if (entry.extraFields.some(({ id }) => id === UNICODE_PATH)) {
    throw malformed(file, `The zip entry ${JSON.stringify(entry.fileName)} has two names.`);
  }
  return {
    name: entry.fileName,
    byteLength: entry.compressedSize,
    compressionMethod: entry.compressionMethod,
    headerOffsetBytes: entry.relativeOffsetOfLocalHeader,
    rawName: entry.fileNameRaw,
  };
}

/** Behind the last entry listed must stand an end record; otherwise the count is wrong and entries are missing. */
async function checkEnd(file: RandomAccessFile, offsetBytes: number): Promise<void> {
  const byteLength = Math.min(4, file.byteLength - offsetBytes);
  const signature = asBuffer(await file.read(offsetBytes, byteLength));
  if (startsWith(signature, END_MAGIC) || startsWith(signature, ZIP64_END_MAGIC)) return;
  throw malformed(file, "The directory of the zip file does not end where it says.", {
    offsetBytes,
    expected: "an end of central directory record",
    got: `the bytes ${signature.toString("hex")}`,
  });
}

/** Refuses entries that are not stored as they are; every reader of data needs this first. */
export function checkStored(file: RandomAccessFile, entries: Iterable<StoredEntry>): void {
  for (const { name, compressionMethod, headerOffsetBytes } of entries) {
    if (compressionMethod === 0) continue;
    const message = `The zip entry ${JSON.stringify(name)} is compressed.`;
    throw new ApplyDeltaError("zip-entry-compressed", message, {
      file: file.path,
      offsetBytes: headerOffsetBytes,
      expected: "method 0 (stored), as torch.save writes",
      got: `method ${compressionMethod}`,
      hint: "The file was zipped again by another program; get the original file.",
    });
  }
}

/**
 * Where the data of each entry begins that was given until now. Only the local header tells: its extra field has another length than
 * the directory's (torch caffe2/serialize/inline_container.cc pads with it until the data is aligned).
 */
export async function locateEntries(
  file: RandomAccessFile,
  directory: ZipDirectory,
  wanted: readonly StoredEntry[],
): Promise<(entry: StoredEntry) => number> {
  const { entries, startBytes, dataStarts } = directory;
  const unknown = wanted.filter(({ name }) => !dataStarts.has(name));
  await Promise.all(unknown.map(async (entry) => dataStarts.set(entry.name, await dataStart(file, entry))));
  const extents = Array.from(entries.values(), (entry) => {
    const { name, start, end } = headerExtent(entry);
    const dataStart = dataStarts.get(name);
    return { name, start, end: dataStart === undefined ? end : dataStart + entry.byteLength };
  });
  checkExtents(file, extents, startBytes);
  return ({ name }) => dataStarts.get(name) as number;
}

async function dataStart(file: RandomAccessFile, entry: StoredEntry): Promise<number> {
  const { headerOffsetBytes, rawName } = entry;
  const header = asBuffer(await file.read(headerOffsetBytes, LOCAL_HEADER_BYTES + rawName.length));
  // 0 - signature, 8 - compression method, 26 - name length, 28 - extra field length, 30 - name
  const agrees =
    startsWith(header, LOCAL_HEADER_MAGIC) &&
    header.readUInt16LE(8) === entry.compressionMethod &&
    header.readUInt16LE(26) === rawName.length &&
    header.subarray(LOCAL_HEADER_BYTES).equals(rawName);
  if (!agrees) {
    const message = `The zip entry ${JSON.stringify(entry.name)} is not where the directory says.`;
    throw malformed(file, message, { offsetBytes: headerOffsetBytes });
  }
  return headerOffsetBytes + LOCAL_HEADER_BYTES + rawName.length + header.readUInt16LE(28);
}

interface Extent {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** The least an entry takes: its local header without the extra field, and its data. */
function headerExtent({ name, headerOffsetBytes, rawName, byteLength }: StoredEntry): Extent {
  const end = headerOffsetBytes + LOCAL_HEADER_BYTES + rawName.length + byteLength;
  return { name, start: headerOffsetBytes, end };
}

/** Stops a file whose entries share bytes, so that a few of them stand for many (or for other entries' data). */
function checkExtents(file: RandomAccessFile, extents: Extent[], limit: number): void {
  extents.sort((a, b) => a.start - b.start);
  for (const [i, { name, start, end }] of extents.entries()) {
    const bound = extents[i + 1]?.start ?? limit;
    if (end <= bound) continue;
    const what =
      i + 1 < extents.length ? "overlaps the next one" : "reaches into the zip directory or past the end";
    throw malformed(file, `The zip entry ${JSON.stringify(name)} ${what}.`, {
      offsetBytes: start,
      expected: `its end at byte ${bound} or before`,
      got: `byte ${end}`,
    });
  }
}

/** Serves yauzl's many small reads from a few large ones, and notes which part of the file it asked for. */
class WindowReader extends RandomAccessReader {
  lowestOffset = Number.POSITIVE_INFINITY;
  highestOffset = 0;

  constructor(
    private readonly file: RandomAccessFile,
    private window: Buffer,
    private windowStart: number,
  ) {
    super();
  }

  forgetExtent(): void {
    this.lowestOffset = Number.POSITIVE_INFINITY;
    this.highestOffset = 0;
  }

  override read(
    target: Buffer,
    targetOffset: number,
    byteLength: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    const end = position + byteLength;
    if (end > this.file.byteLength) {
      const message = "The zip directory points beyond the end of the file.";
      callback(malformed(this.file, message, { got: position }));
      return;
    }
    this.lowestOffset = Math.min(this.lowestOffset, position);
    this.highestOffset = Math.max(this.highestOffset, end);
    this.#moveWindow(position, end)
      .then(() => {
        const from = position - this.windowStart;
        this.window.copy(target, targetOffset, from, from + byteLength);
        callback(null, byteLength);
      })
      .catch(callback);
  }

  async #moveWindow(start: number, end: number): Promise<void> {
    if (start >= this.windowStart && end <= this.windowStart + this.window.length) return;
    const windowLength = Math.min(Math.max(end - start, READ_AHEAD_BYTES), this.file.byteLength - start);
    this.window = asBuffer(await this.file.read(start, windowLength));
    this.windowStart = start;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(file: RandomAccessFile, message: string, details: ErrorDetails = {}): ApplyDeltaError {
  return new ApplyDeltaError("zip-malformed", message, { file: file.path, ...details });
}
