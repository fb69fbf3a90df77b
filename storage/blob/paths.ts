import { type ChunkName, chunkText, dataIdMs, parseChunkText } from '../../protocol/blob.ts';

/**
 * Where a chunk is: `blobs/<time, coarse>/<time, fine>/<name>`. Folders are by the time of the id, so chunks that are
 * written together are in one folder: one sync of it makes many names durable, whoever wrote them. A folder is of
 * about a minute, one above it of about a day, and the order of paths is the order of names.
 */
export const BLOB_FOLDER = 'blobs';
export const CHUNK_FOLDER = `${BLOB_FOLDER}/chunks`;
/** Files that are being written; emptied at start. */
export const SCRATCH_FOLDER = `${BLOB_FOLDER}/scratch`;
export const ASIDE_FOLDER = 'quarantine/blobs';
const FINE_BITS = 16;
const COARSE_BITS = 27;
const COARSE_DIGITS = 6;
const FINE_DIGITS = 3;

export function folderOfChunk({ data }: ChunkName): string {
  const ms = dataIdMs(data);
  const coarse = hex(Math.floor(ms / 2 ** COARSE_BITS), COARSE_DIGITS);
  const fine = hex(Math.floor(ms / 2 ** FINE_BITS) % 2 ** (COARSE_BITS - FINE_BITS), FINE_DIGITS);
  return `${CHUNK_FOLDER}/${coarse}/${fine}`;
}

export function pathOfChunk(name: ChunkName): string {
  return `${folderOfChunk(name)}/${chunkText(name)}`;
}

/** The chunk that a file in these folders is by its name and its place; null: it is none of ours. */
export function chunkAt(path: string): ChunkName | null {
  const name = parseChunkText(path.slice(path.lastIndexOf('/') + 1));
  return name !== null && pathOfChunk(name) === path ? name : null;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
