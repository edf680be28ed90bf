import { ApplyDeltaError } from "../../errors.js";
import type { RandomAccessFile, TensorView } from "../../tensor.js";
import type { HeaderReader } from "../header-reader.js";
import { readPickle } from "./pickle.js";
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
import { type PickleValue, quote, type StorageNode } from "./values.js";
import { checkStored, locateEntries, readZipDirectory, type StoredEntry } from "./zip-directory.js";

/** "little" or "big"; a longer entry is not read. */
const MAX_BYTEORDER_BYTES = 8;

/**
 * Reads where the tensors lie in a checkpoint as torch.save writes it since version 1.6: only the zip directory,
 * data.pkl and the local headers of the entries in use are read. Each storage is one stored entry of exactly the size
 * the pickle says (caffe2/serialize/inline_container.cc, torch/serialization.py `_save` and `_load`).
 */
export async function readTorchZip<F extends RandomAccessFile>(
  file: HeaderReader<F>,
): Promise<TensorView<F>[]> {
  const directory = await readZipDirectory(file);
  const { entries } = directory;
  const folder = checkpointFolder(file, [...entries.keys()]);
  checkStored(file, entries.values());

  const pickleEntry = entries.get(`${folder}/data.pkl`) as StoredEntry;
  const orderEntry = entries.get(`${folder}/byteorder`);
  const control = orderEntry === undefined ? [pickleEntry] : [pickleEntry, orderEntry];
  const startOf = await locateEntries(file, directory, control);
  if (orderEntry !== undefined) await checkByteOrder(file, orderEntry, startOf(orderEntry));
  const tensors = findStateDict(await readDataPickle(file, pickleEntry, startOf(pickleEntry)), file.path);

  const records = new Map<string, StoredEntry>();
  for (const { storage } of tensors.values()) {
    if (records.has(storage.key)) continue;
    records.set(storage.key, recordOf(file, entries, `${folder}/data/${storage.key}`, storage));
  }
  await locateEntries(file, directory, [...records.values()]);
  return viewTensors(file, tensors, ({ key }) => startOf(records.get(key) as StoredEntry));
}

/** The one folder everything lies in: the file's stem or "archive". Refuses zips that are something else. */
function checkpointFolder(file: RandomAccessFile, names: readonly string[]): string {
  const foreign = (message: string, got: string) =>
    foreignFile(file.path, message, "one folder with data.pkl and data/, as torch.save writes", got);
  const folder = names.find((name) => /^[^/]+\/data\.pkl$/.test(name))?.split("/")[0];
  if (folder === undefined) {
    throw foreign("The file is a zip, but not one that torch.save wrote.", "a zip without data.pkl");
  }
  // torch/serialization.py, `_is_torchscript_zip`; code/ holds the program.
  if (names.some((name) => name === `${folder}/constants.pkl` || name.startsWith(`${folder}/code/`))) {
    throw foreign("The file is a TorchScript program, not a checkpoint.", "a TorchScript archive");
  }
  const stray = names.find((name) => !name.startsWith(`${folder}/`));
  if (stray === undefined) return folder;
  throw foreign(`The zip has ${quote(stray)} beside the checkpoint's folder.`, "more than one top folder");
}

async function checkByteOrder(
  file: RandomAccessFile,
  { byteLength }: StoredEntry,
  offsetBytes: number,
): Promise<void> {
  const isShort = byteLength <= MAX_BYTEORDER_BYTES;
  const order = isShort
    ? Buffer.from(await file.read(offsetBytes, byteLength)).toString("latin1")
    : `${byteLength} bytes`;
  if (order !== "little") throw bigEndian(file.path, offsetBytes, quote(order));
}

async function readDataPickle(
  file: RandomAccessFile,
  { byteLength }: StoredEntry,
  offsetBytes: number,
): Promise<PickleValue> {
  if (byteLength > MAX_PICKLE_BYTES) throw pickleTooLarge(file.path, offsetBytes);
  const bytes = await file.read(offsetBytes, byteLength);
  const unpickled = readPickle({ path: file.path, bytes, offsetBytes }, 5);
  if (unpickled?.end === byteLength) return unpickled.value;
  const message =
    unpickled === undefined ? "data.pkl ends before its pickle does." : "data.pkl goes on after its pickle.";
  throw new ApplyDeltaError("pickle-malformed", message, {
    file: file.path,
    offsetBytes: offsetBytes + (unpickled?.end ?? byteLength),
  });
}

/** The entry of a storage, which must have exactly its size. */
function recordOf(
  file: RandomAccessFile,
  entries: ReadonlyMap<string, StoredEntry>,
  name: string,
  storage: StorageNode,
): StoredEntry {
  const entry = entries.get(name);
  if (entry === undefined) throw storageMissing(file.path, name);
  const byteLength = recordBytes(storage);
  if (entry.byteLength === byteLength) return entry;
  throw storageSize(name, {
    file: file.path,
    offsetBytes: entry.headerOffsetBytes,
    expected: `${byteLength} bytes (${storage.recordNumel} elements of ${storage.dtype})`,
    got: `${entry.byteLength} bytes`,
  });
}
