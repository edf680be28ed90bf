/** What a GGUF says of its model besides the tensors: typed values by key, in the order of the file. */

/** A key with its value. Integers and floats are as wide as the type says. */
export type KeyValue = { readonly key: string } & (
  | { readonly type: "u32" | "i32" | "f32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "array"; readonly items: "i32" | "f32"; readonly value: readonly number[] }
  | { readonly type: "array"; readonly items: "string"; readonly value: readonly string[] }
);

export const u32 = (key: string, value: number): KeyValue => ({ key, type: "u32", value });

export const i32 = (key: string, value: number): KeyValue => ({ key, type: "i32", value });

export const f32 = (key: string, value: number): KeyValue => ({
  key,
  type: "f32",
  value: Math.fround(value),
});

export const bool = (key: string, value: boolean): KeyValue => ({ key, type: "bool", value });

export const string = (key: string, value: string): KeyValue => ({ key, type: "string", value });

export const strings = (key: string, value: readonly string[]): KeyValue => ({
  key,
  type: "array",
  items: "string",
  value,
});

/** The value under `key` if there is one, as a list of one or none. */
export function ifSet<T>(
  make: (key: string, value: T) => KeyValue,
  key: string,
  value: T | null,
): KeyValue[] {
  return value === null ? [] : [make(key, value)];
}
