import { ARRAY_CODE, BIG_INTS, isBigIntType, isNumberType, NUMBERS, scalarTypeOf } from "./constants.js";
import type { HeaderCursor } from "./header-cursor.js";
import type { GgufEntry, GgufScalarType } from "./metadata.js";

/** Characters of a key that an error shows. */
const MAX_KEY_SHOWN = 100;

/** Reads one key and its value. Errors: `truncated-file`, `too-large`, `header-malformed`. */
export async function readEntry(cursor: HeaderCursor): Promise<GgufEntry> {
  const key = await cursor.string();
  if (key === "") throw cursor.malformed("a key is empty");
  const shown = JSON.stringify(key.slice(0, MAX_KEY_SHOWN));
  await cursor.need(4);
  const code = cursor.number("u32");
  if (code !== ARRAY_CODE) {
    const type = scalarTypeOf(code);
    if (type === undefined) throw cursor.malformed(`the key ${shown} has the unknown type ${code}`);
    return { key, type, value: await readScalar(cursor, type) } as GgufEntry;
  }
  await cursor.need(12);
  const itemCode = cursor.number("u32");
  const items = scalarTypeOf(itemCode);
  const length = cursor.bigInt("u64");
  // ggml reads no arrays of arrays either.
  if (items === undefined) throw cursor.malformed(`the array ${shown} has items of the type ${itemCode}`);
  cursor.claimItems(length, leastBytes(items));
  const value: unknown[] = [];
  for (let i = 0; i < length; i++) value.push(await readScalar(cursor, items));
  return { key, type: "array", items, value } as GgufEntry;
}

/** Bytes that a value takes in the file at least. */
function leastBytes(type: GgufScalarType): number {
  if (isNumberType(type)) return NUMBERS[type].bytes;
  if (isBigIntType(type)) return BIG_INTS[type].bytes;
  return type === "bool" ? 1 : 8;
}

async function readScalar(
  cursor: HeaderCursor,
  type: GgufScalarType,
): Promise<number | bigint | boolean | string> {
  if (type === "string") return cursor.string();
  const byteLength = leastBytes(type);
  if (!cursor.has(byteLength)) await cursor.need(byteLength);
  if (isNumberType(type)) return cursor.number(type);
  if (isBigIntType(type)) return cursor.bigInt(type);
  const byte = cursor.number("u8");
  if (byte > 1) throw cursor.malformed(`a bool is ${byte}`);
  return byte === 1;
}
