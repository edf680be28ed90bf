import { ApplyDeltaError } from "../../errors.js";
import type { RandomAccessFile, TensorView } from "../../tensor.js";
import { MAX_PICKLE_BYTES, readPickle, type Unpickled } from "./pickle.js";
import { elementBytes, findStateDict, viewTensors } from "./state-dict.js";
import { quote, type StorageNode } from "./values.js";
import { checkStored, locateEntries, readZipDirectory, type StoredEntry } from "./zip-directory.js";

/** "little" or "big"; a longer entry is not read. */
const MAX_BYTEORDER_BYTES = 8;

/**
 * Reads where the tensors lie in a checkpoint as torch.save writes it since version 1.6: only the zip directory,
 * data.pkl and the local headers of the entries in use are read. Each storage is one stored entry of exactly the size
 * the pickle says (caffe2/serialize/inline_container.cc, torch/serialization.py `_save` and `_load`).
 */
export async function readTorchZip<F extends RandomAccessFile>(file: F): Promise<TensorView<F>[]> {
  const directory = await readZipDirectory(file);
  const { entries } = directory;
  const folder = checkpointFolder(file, [...entries.keys()]);
  checkStored(file, entries.values());

  const pickleEntry = entries.get(`${folder}/data.pkl`) as StoredEntry;
  const orderEntry = entries.get(`${folder}/byteorder`);
  const control = orderEntry === undefined ? [pickleEntry] : [pickleEntry, orderEntry];
  const controlStarts = await locateEntries(file, directory, control);
  if (orderEntry !== undefined)
    await checkByteOrder(file, orderEntry, controlStarts.get(orderEntry.name) as number);

  const { value } = await readDataPickle(file, pickleEntry, controlStarts.get(pickleEntry.name) as number);
  const tensors = findStateDict(value, file.path);

  const records = new Map<string, StoredEntry>();
  for (const { storage } of tensors.values()) {
    if (!records.has(storage.key)) records.set(storage.key, recordOf(file, folder, entries, storage));
  }
  const starts = await locateEntries(file, directory, [...records.values()]);
  return viewTensors(
    file,
    tensors,
    ({ key }) => starts.get((records.get(key) as StoredEntry).name) as number,
  );
}

/** The one folder everything lies in: the file's stem or "archive". Refuses zips that are something else. */
function checkpointFolder(file: RandomAccessFile, names: readonly string[]): string {
  const folder = names.find((name) => /^[^/]+\/data\.pkl$/.test(name))?.split("/")[0];
  if (folder === undefined) {
    throw foreign(file, "The file is a zip, but not one that torch.save wrote.", "a zip without data.pkl");
  }
  // torch/serialization.py, `_is_torchscript_zip`; code/ holds the program.
  if (names.some((name) => name === `${folder}/constants.pkl` || name.startsWith(`${folder}/code/`))) {
    throw foreign(file, "The file is a TorchScript program, not a checkpoint.", "a TorchScript archive");
  }
  const stray = names.find((name) => !name.startsWith(`${folder}/`));
  if (stray !== undefined) {
    throw foreign(
      file,
      `The zip has ${quote(stray)} beside the checkpoint's folder.`,
      "more than one top folder",
    );
  }
  return folder;
}

function foreign(file: RandomAccessFile, message: string, got: string): ApplyDeltaError {
  return new ApplyDeltaError("foreign-format", message, {
    file: file.path,
    expected: "one folder with data.pkl and data/, as torch.save writes",
    got,
    hint: "Give the model's own .bin, .pt, .pth or .safetensors files, not a program or an archive of them.",
  });
}

async function checkByteOrder(
  file: RandomAccessFile,
  entry: StoredEntry,
  offsetBytes: number,
): Promise<void> {
  const order =
    entry.byteLength <= MAX_BYTEORDER_BYTES
      ? new TextDecoder("latin1").decode(await file.read(offsetBytes, entry.byteLength))
      : `${entry.byteLength} bytes`;
  if (order === "little") return;
  throw new ApplyDeltaError("big-endian", "The checkpoint was not written on a little-endian machine.", {
    file: file.path,
    offsetBytes,
    expected: "little",
    got: quote(order),
    hint: "Load it with PyTorch and save it again on a little-endian machine.",
  });
}

async function readDataPickle(
  file: RandomAccessFile,
  entry: StoredEntry,
  offsetBytes: number,
): Promise<Unpickled> {
  const { byteLength } = entry;
  if (byteLength > MAX_PICKLE_BYTES) {
    throw new ApplyDeltaError("pickle-too-large", "data.pkl is far larger than a state dict needs.", {
      file: file.path,
      offsetBytes,
      expected: `at most ${MAX_PICKLE_BYTES} bytes`,
      got: `${byteLength} bytes`,
      hint: "The file is damaged or not a plain state dict; get the weights as safetensors.",
    });
  }
  const bytes = await file.read(offsetBytes, byteLength);
  const unpickled = readPickle({ path: file.path, bytes, offsetBytes }, 5);
  if (unpickled?.end === byteLength) return unpickled;
  const message =
    unpickled === undefined ? "data.pkl ends before its pickle does." : "data.pkl goes on after its pickle.";
  throw new ApplyDeltaError("pickle-malformed", message, {
    file: file.path,
    offsetBytes: offsetBytes + (unpickled?.end ?? byteLength),
    hint: "Download the file again and compare its sha256.",
  });
}

function recordOf(
  file: RandomAccessFile,
  folder: string,
  entries: ReadonlyMap<string, StoredEntry>,
  storage: StorageNode,
): StoredEntry {
  const name = `${folder}/data/${storage.key}`;
  const entry = entries.get(name);
  if (entry === undefined) {
    throw new ApplyDeltaError(
      "storage-missing",
      `The checkpoint has no entry ${quote(name)}, which a tensor needs.`,
      {
        file: file.path,
        hint: "Download the file again and compare its sha256.",
      },
    );
  }
  const byteLength = storage.recordNumel * elementBytes(storage.dtype);
  if (entry.byteLength === byteLength) return entry;
  throw new ApplyDeltaError(
    "storage-size",
    `The entry ${quote(name)} does not have the size the pickle gives.`,
    {
      file: file.path,
      offsetBytes: entry.headerOffsetBytes,
      expected: `${byteLength} bytes (${storage.recordNumel} elements of ${storage.dtype})`,
      got: `${entry.byteLength} bytes`,
      hint: "Download the file again and compare its sha256.",
    },
  );
}
