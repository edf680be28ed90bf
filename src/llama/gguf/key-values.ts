/** What a GGUF says of its model besides the tensors: typed values by key, in the order of the file. */
import { ApplyDeltaError } from "../../errors.js";

/** A key with its value. Integers and floats are as wide as the type says. */
export type KeyValue = { readonly key: string } & (
  | { readonly type: "u32" | "i32" | "f32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "array"; readonly items: "i32" | "f32"; readonly value: readonly number[] }
  | { readonly type: "array"; readonly items: "string"; readonly value: readonly string[] }
);

/** Errors of this and the next two: `config-mismatch` for a number that the type can't hold. */
export function u32(key: string, value: number): KeyValue {
  if (value >>> 0 !== value) throw notHeld(key, value, "a whole number from 0 to 4294967295");
  return { key, type: "u32", value };
}

export function i32(key: string, value: number): KeyValue {
  if ((value | 0) !== value) throw notHeld(key, value, "a whole number of 32 bits");
  return { key, type: "i32", value };
}

export function f32(key: string, value: number): KeyValue {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) throw notHeld(key, value, "a number that float32 can hold");
  return { key, type: "f32", value: rounded };
}

function notHeld(key: string, value: number, expected: string): ApplyDeltaError {
  return new ApplyDeltaError("config-mismatch", `GGUF's ${key} can't hold ${value}.`, {
    expected,
    got: value,
    hint: "Correct the number in config.json or generation_config.json.",
  });
}

export const bool = (key: string, value: boolean): KeyValue => ({ key, type: "bool", value });

export const string = (key: string, value: string): KeyValue => ({ key, type: "string", value });

export function strings(key: string, value: readonly string[]): KeyValue {
  return { key, type: "array", items: "string", value };
}

/** The value under `key` if there is one, as a list of one or none. */
export function ifSet<T>(
  make: (key: string, value: T) => KeyValue,
  key: string,
  value: T | null,
): KeyValue[] {
  return value === null ? [] : [make(key, value)];
}
