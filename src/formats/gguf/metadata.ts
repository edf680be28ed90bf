/**
 * A GGUF file's key-value pairs, as they stand in memory. Their order is kept, as it is the order in the file.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */

/** What one value can be: integers by sign and bits, floating-point numbers, and the rest. */
export type GgufNumberType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "f64";
export type GgufBigIntType = "u64" | "i64";
export type GgufScalarType = GgufNumberType | GgufBigIntType | "bool" | "string";

/** One key with its value. An array's items all have the type `items`. */
export type GgufEntry = { readonly key: string } & (
  | { readonly type: GgufNumberType; readonly value: number }
  | { readonly type: GgufBigIntType; readonly value: bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "array"; readonly items: GgufNumberType; readonly value: readonly number[] }
  | { readonly type: "array"; readonly items: GgufBigIntType; readonly value: readonly bigint[] }
  | { readonly type: "array"; readonly items: "bool"; readonly value: readonly boolean[] }
  | { readonly type: "array"; readonly items: "string"; readonly value: readonly string[] }
);
