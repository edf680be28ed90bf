/** The format's numbers, for reader and writer: ggml's docs/gguf.md, and `ggml_type` in ggml.h. */
import type { DType } from "../../tensor.js";
import type { GgufBigIntType, GgufNumberType, GgufScalarType } from "./metadata.js";

export const MAGIC = "GGUF";

/** Version 2 has the same layout; before that, lengths had 32 bits. */
export const VERSION = 3;
export const READABLE_VERSIONS: readonly number[] = [2, 3];

/** Of a tensor's data from the start of all data, unless `general.alignment` says otherwise. */
export const DEFAULT_ALIGNMENT = 32;
export const ALIGNMENT_KEY = "general.alignment";

/** What llama.cpp holds of a tensor: `GGML_MAX_DIMS`, and `GGML_MAX_NAME` with its final zero. */
export const MAX_DIMENSIONS = 4;
export const MAX_NAME_BYTES = 63;

/** The keys of a file that is a part of a model. All but the last stand in every part; the first has all other keys. */
export const SPLIT_NUMBER_KEY = "split.no";
export const SPLIT_COUNT_KEY = "split.count";
export const SPLIT_TENSORS_KEY = "split.tensors.count";

/** A number of a fixed width: its code in the file, its bytes, and the part of a DataView's method's name. */
interface NumberCode<Method extends string> {
  readonly code: number;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly method: Method;
}

type NumberMethod = "Uint8" | "Int8" | "Uint16" | "Int16" | "Uint32" | "Int32" | "Float32" | "Float64";

export const NUMBERS: Readonly<Record<GgufNumberType, NumberCode<NumberMethod>>> = {
  u8: { code: 0, bytes: 1, method: "Uint8" },
  i8: { code: 1, bytes: 1, method: "Int8" },
  u16: { code: 2, bytes: 2, method: "Uint16" },
  i16: { code: 3, bytes: 2, method: "Int16" },
  u32: { code: 4, bytes: 4, method: "Uint32" },
  i32: { code: 5, bytes: 4, method: "Int32" },
  f32: { code: 6, bytes: 4, method: "Float32" },
  f64: { code: 12, bytes: 8, method: "Float64" },
};

export const BIG_INTS: Readonly<Record<GgufBigIntType, NumberCode<"BigUint64" | "BigInt64">>> = {
  u64: { code: 10, bytes: 8, method: "BigUint64" },
  i64: { code: 11, bytes: 8, method: "BigInt64" },
};

const BOOL_CODE = 7;
const STRING_CODE = 8;
export const ARRAY_CODE = 9;

export function isNumberType(type: GgufScalarType): type is GgufNumberType {
  return Object.hasOwn(NUMBERS, type);
}

export function isBigIntType(type: GgufScalarType): type is GgufBigIntType {
  return Object.hasOwn(BIG_INTS, type);
}

/** The code of a value's type in the file. */
export function codeOf(type: GgufScalarType): number {
  if (isNumberType(type)) return NUMBERS[type].code;
  if (isBigIntType(type)) return BIG_INTS[type].code;
  return type === "bool" ? BOOL_CODE : STRING_CODE;
}

const SCALAR_TYPES = [
  ...Object.keys(NUMBERS),
  ...Object.keys(BIG_INTS),
  "bool",
  "string",
] as GgufScalarType[];

/** The type of a code, arrays apart; undefined where there is none. */
export function scalarTypeOf(code: number): GgufScalarType | undefined {
  return SCALAR_TYPES.find((type) => codeOf(type) === code);
}

/** ggml's tensor types by their numbers; those between are of types that were removed. */
const TENSOR_TYPES = new Map<DType, number>([
  ...(["F32", "F16", "Q4_0", "Q4_1"] as const).map((dtype, i) => [dtype, i] as const),
  ...(
    [
      ...[
        "Q5_0",
        "Q5_1",
        "Q8_0",
        "Q8_1",
        "Q2_K",
        "Q3_K",
        "Q4_K",
        "Q5_K",
        "Q6_K",
        "Q8_K",
        "IQ2_XXS",
        "IQ2_XS",
      ],
      ...[
        "IQ3_XXS",
        "IQ1_S",
        "IQ4_NL",
        "IQ3_S",
        "IQ2_S",
        "IQ4_XS",
        "I8",
        "I16",
        "I32",
        "I64",
        "F64",
        "IQ1_M",
      ],
      "BF16",
    ] as const
  ).map((dtype, i) => [dtype as DType, 6 + i] as const),
  ["TQ1_0", 34],
  ["TQ2_0", 35],
  ["MXFP4", 39],
  ["NVFP4", 40],
  ["Q1_0", 41],
  ["Q2_0", 42],
]);

/** ggml's number of a tensor type; undefined where it has none. */
export function tensorCodeOf(dtype: DType): number | undefined {
  return TENSOR_TYPES.get(dtype);
}

export function tensorTypeOf(code: number): DType | undefined {
  return [...TENSOR_TYPES].find(([, each]) => each === code)?.[0];
}
