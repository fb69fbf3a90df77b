/** A page of the system's: what a disk needs who is written past the page cache. */
export const PAGE_BYTES = 4096;

/**
 * Memory that begins at a page, zeroed. V8 maps a buffer that may be resized for itself; any other one begins where
 * malloc has room. Who writes it past the page cache is told by the system where it is not so.
 */
export function pageAligned(bytes: number): Uint8Array {
  const Resizable = ArrayBuffer as unknown as ResizableConstructor;
  return new Uint8Array(new Resizable(bytes, { maxByteLength: bytes }), 0, bytes);
}

/** Whole pages of such memory. */
export function isPageAligned({ buffer, byteOffset, byteLength }: Uint8Array): boolean {
  const { resizable } = buffer as { readonly resizable?: boolean };
  return resizable === true && byteOffset % PAGE_BYTES === 0 && byteLength % PAGE_BYTES === 0;
}

/** As of ECMAScript 2024. */
type ResizableConstructor = new (
  bytes: number,
  options: { readonly maxByteLength: number },
) => ArrayBuffer;
