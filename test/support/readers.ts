/** The readers of weights files over a file alone, each with a budget of its own. */
import { Budget } from "../../src/budget.js";
import * as gguf from "../../src/formats/gguf/reader.js";
import { HeaderReader } from "../../src/formats/header-reader.js";
import * as safetensors from "../../src/formats/safetensors/reader.js";
import * as shardIndex from "../../src/formats/shard-index.js";
import * as legacy from "../../src/formats/torch/legacy.js";
import * as zip from "../../src/formats/torch/zip.js";
import type { RandomAccessFile, TensorView } from "../../src/tensor.js";

type Read = <F extends RandomAccessFile>(file: F) => Promise<TensorView<F>[]>;

const headerOf = <F extends RandomAccessFile>(file: F) => new HeaderReader(file, new Budget());

export const readSafetensors: Read = (file) => safetensors.readSafetensors(headerOf(file));
export const readGguf: Read = async (file) => [...(await gguf.readGguf(headerOf(file))).tensors];
export const readTorchZip: Read = (file) => zip.readTorchZip(headerOf(file));
export const readTorchLegacy: Read = (file) => legacy.readTorchLegacy(headerOf(file));
export const readShardIndex = (file: RandomAccessFile) => shardIndex.readShardIndex(headerOf(file));
