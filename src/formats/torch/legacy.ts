import { ApplyDeltaError } from "../../errors.js";
import type { RandomAccessFile, TensorView } from "../../tensor.js";
import { assertEnd } from "../format.js";
import type { HeaderReader } from "../header-reader.js";
import { readPickle, type Unpickled } from "./pickle.js";
import {
  bigEndian,
  findStateDict,
  foreignFile,
  MAX_PICKLE_BYTES,
  pickleTooLarge,
  recordBytes,
  storageMissing,
  storageSize,
  viewTensors,
} from "./state-dict.js";
import { Dict, describe, type PickleValue, type StorageNode } from "./values.js";

/** torch/serialization.py, MAGIC_NUMBER and PROTOCOL_VERSION. */
const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

/** Enough for the pickles of most shards; larger ones are read again in windows four times as long. */
const FIRST_WINDOW_BYTES = 64 * 1024;

/** An int64 element count stands before the data of each storage. */
const COUNT_BYTES = 8;

/**
 * Reads where the tensors lie in a checkpoint from before version 1.6 (since then: with
 * `_use_new_zipfile_serialization=False`). Every byte of the file is accounted for: five pickles, then for each storage
 * its element count and its data. Only the pickles and the counts are read (torch/serialization.py, `_legacy_save` and
 * `_legacy_load`).
 */
export async function readTorchLegacy<F extends RandomAccessFile>(
  file: HeaderReader<F>,
): Promise<TensorView<F>[]> {
  const magic = await nextPickle(file, 0);
  if (magic.value !== MAGIC) {
    const message = "The file is a Python pickle, but not one that torch.save wrote.";
    throw foreignFile(file.path, message, `the number 0x${MAGIC.toString(16)}`, describe(magic.value));
  }
  const protocol = await nextPickle(file, magic.end);
  if (protocol.value !== PROTOCOL) {
    throw malformed(file, magic.end, "The legacy protocol is unknown.", PROTOCOL, protocol.value);
  }
  const systemInfo = await nextPickle(file, protocol.end);
  checkLittleEndian(file, protocol.end, systemInfo.value);
  const object = await nextPickle(file, systemInfo.end);
  const tensors = findStateDict(object.value, file.path);
  const keys = await nextPickle(file, object.end);
  const storages = storagesInOrder(file, object.end, keys.value, object.storages);
  const offsets = await locateStorages(file, keys.end, storages);
  return viewTensors(file, tensors, ({ key }) => offsets.get(key) as number);
}

/** The pickle that starts at `offsetBytes` of the file, with its end there too. */
async function nextPickle(file: RandomAccessFile, offsetBytes: number): Promise<Unpickled> {
  const rest = file.byteLength - offsetBytes;
  for (let window = FIRST_WINDOW_BYTES; ; window *= 4) {
    const byteLength = Math.min(window, rest);
    const bytes = await file.read(offsetBytes, byteLength);
    const unpickled = readPickle({ path: file.path, bytes, offsetBytes }, 6);
    if (unpickled !== undefined) return { ...unpickled, end: offsetBytes + unpickled.end };
    if (byteLength === rest) {
      throw new ApplyDeltaError("truncated-file", "The file ends in the middle of its pickled part.", {
        file: file.path,
        offsetBytes: file.byteLength,
      });
    }
    if (window >= MAX_PICKLE_BYTES) throw pickleTooLarge(file.path, offsetBytes);
  }
}

function checkLittleEndian(file: RandomAccessFile, offsetBytes: number, info: PickleValue): void {
  const littleEndian = info instanceof Dict ? info.get("little_endian") : undefined;
  if (littleEndian === true) return;
  if (littleEndian === false) throw bigEndian(file.path, offsetBytes, "big-endian numbers");
  const message = "The system information is not what torch.save writes.";
  throw malformed(file, offsetBytes, message, "little_endian", info);
}

/** The storages in the order of the keys list, which must name each storage of the object once and no other. */
function storagesInOrder(
  file: RandomAccessFile,
  offsetBytes: number,
  keys: PickleValue,
  storages: ReadonlyMap<string, StorageNode>,
): StorageNode[] {
  if (!Array.isArray(keys)) {
    throw malformed(file, offsetBytes, "The storage keys are not a list.", "a list of strings", keys);
  }
  const left = new Map(storages);
  const ordered = keys.map((key) => {
    const storage = typeof key === "string" ? left.get(key) : undefined;
    if (storage === undefined) {
      const message = "A storage key is unknown or listed twice.";
      throw malformed(file, offsetBytes, message, "keys of storages", key);
    }
    left.delete(storage.key);
    return storage;
  });
  for (const key of left.keys()) throw storageMissing(file.path, key);
  return ordered;
}

/** Where the data of each storage begins. */
async function locateStorages(
  file: RandomAccessFile,
  offsetBytes: number,
  storages: readonly StorageNode[],
): Promise<Map<string, number>> {
  const offsets = new Map<string, number>();
  let end = offsetBytes;
  for (const storage of storages) {
    offsets.set(storage.key, end + COUNT_BYTES);
    end += COUNT_BYTES + recordBytes(storage);
  }
  assertEnd(file, end);
  await Promise.all(
    storages.map((storage) => checkCount(file, storage, (offsets.get(storage.key) as number) - COUNT_BYTES)),
  );
  return offsets;
}

async function checkCount(
  file: RandomAccessFile,
  { key, recordNumel }: StorageNode,
  offsetBytes: number,
): Promise<void> {
  const bytes = await file.read(offsetBytes, COUNT_BYTES);
  const count = Buffer.from(bytes.buffer, bytes.byteOffset, COUNT_BYTES).readBigInt64LE(0);
  if (count === BigInt(recordNumel)) return;
  throw storageSize(key, {
    file: file.path,
    offsetBytes,
    expected: `${recordNumel} elements`,
    got: `${count} elements`,
  });
}

function malformed(
  file: RandomAccessFile,
  offsetBytes: number,
  message: string,
  expected: string | number,
  got: PickleValue,
): ApplyDeltaError {
  return new ApplyDeltaError("pickle-malformed", message, {
    file: file.path,
    offsetBytes,
    expected,
    got: describe(got),
  });
}
