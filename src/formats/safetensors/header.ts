/** Little-endian u64 before the header: its length in bytes. */
export const LENGTH_BYTES = 8;

/** The format's own limit (`MAX_HEADER_SIZE`); stops a file whose first bytes claim gigabytes of header. */
export const MAX_HEADER_BYTES = 100_000_000;

/** The one key of the header that names no tensor. */
export const METADATA_KEY = "__metadata__";

/** The byte of `{`, with which a header begins. */
export const OPENING_BRACE = 0x7b;
