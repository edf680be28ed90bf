/** What readers and writers of zips share (APPNOTE.TXT 4.3). */

/** The signatures, in the order of their bytes. */
export const LOCAL_HEADER_MAGIC = "PK\x03\x04";
export const DESCRIPTOR_MAGIC = "PK\x07\x08";
export const DIRECTORY_ENTRY_MAGIC = "PK\x01\x02";
export const ZIP64_END_MAGIC = "PK\x06\x06";
export const ZIP64_LOCATOR_MAGIC = "PK\x06\x07";
export const END_MAGIC = "PK\x05\x06";

/** Bytes of a local file header before the name. */
export const LOCAL_HEADER_BYTES = 30;
