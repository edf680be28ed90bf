import fc from "fast-check";

const SURROGATES = [0xd800, 0xe000] as const;

/** Any character of Unicode, for `unit`. fast-check's own "binary" takes half a second to make, once in a process. */
export const anyCharacter = fc
  .oneof(fc.nat(SURROGATES[0] - 1), fc.integer({ min: SURROGATES[1], max: 0x10ffff }))
  .map((code) => String.fromCodePoint(code));
