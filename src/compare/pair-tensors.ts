/** Which tensors of two models to compare with which: each tensor of either side is in exactly one list. */

import { isRotaryBuffer } from "../llama/tensor-names.js";
import { isFloatDType, type TensorView } from "../tensor.js";
import type { Comparison } from "./documents.js";

/** Two tensors of one name and one shape, of one dtype or both of floats. */
export interface TensorPair {
  readonly a: TensorView;
  readonly b: TensorView;
}

export interface Pairing extends Pick<Comparison, "onlyInA" | "onlyInB" | "otherShapes" | "otherDTypes"> {
  /** In the order of a. */
  readonly pairs: readonly TensorPair[];
  /** Rotary buffers of one side alone: loaders compute them, so that they make no difference. */
  readonly rotaryOnlyIn: { readonly a: number; readonly b: number };
}

/** Pairs by exact names. */
export function pairTensors(ofA: readonly TensorView[], ofB: readonly TensorView[]): Pairing {
  const inA = new Set(ofA.map(({ name }) => name));
  const inB = new Map(ofB.map((tensor) => [tensor.name, tensor]));
  const both = ofA.flatMap((a) => {
    const b = inB.get(a.name);
    return b === undefined ? [] : [{ a, b }];
  });
  const aloneInA = ofA.filter(({ name }) => !inB.has(name));
  const aloneInB = ofB.filter(({ name }) => !inA.has(name));
  const weights = (tensors: readonly TensorView[]) =>
    tensors.map(({ name }) => name).filter((name) => !isRotaryBuffer(name));
  const [onlyInA, onlyInB] = [weights(aloneInA), weights(aloneInB)];
  const sameShape = both.filter(hasOneShape);
  return {
    pairs: sameShape.filter(isComparable),
    onlyInA,
    onlyInB,
    rotaryOnlyIn: { a: aloneInA.length - onlyInA.length, b: aloneInB.length - onlyInB.length },
    otherShapes: both
      .filter((pair) => !hasOneShape(pair))
      .map(({ a, b }) => ({ name: a.name, a: a.shape, b: b.shape })),
    otherDTypes: sameShape
      .filter((pair) => !isComparable(pair))
      .map(({ a, b }) => ({ name: a.name, a: a.dtype, b: b.dtype })),
  };
}

function hasOneShape({ a, b }: TensorPair): boolean {
  return a.shape.length === b.shape.length && a.shape.every((extent, dim) => extent === b.shape[dim]);
}

function isComparable({ a, b }: TensorPair): boolean {
  return a.dtype === b.dtype || (isFloatDType(a.dtype) && isFloatDType(b.dtype));
}
