import { type ChunkName, chunkText } from '../../protocol/blob.ts';
import { DiskError, isDamage } from '../disk/port.ts';

/** What is wrong with one chunk, and where. */
export class BlobError extends DiskError {
  override readonly name = 'BlobError';
  readonly chunk: ChunkName;
  /** The damaged block; null where it is not about one. */
  readonly block: number | null;

  constructor(code: string, chunk: ChunkName, reason: string, block: number | null = null) {
    super(code, `chunk ${chunkText(chunk)}: ${reason}${block === null ? '' : ` (block ${block})`}`);
    this.chunk = chunk;
    this.block = block;
  }
}

export function missing(chunk: ChunkName): BlobError {
  return new BlobError('ENOENT', chunk, 'is not here');
}

export function damaged(chunk: ChunkName, reason: string, block: number | null = null): BlobError {
  return new BlobError('EBADMSG', chunk, reason, block);
}

/** Whether a chunk that is here cannot be had from this disk: its bytes are wrong, or the disk gives none. */
export function isUnreadable(error: unknown): error is DiskError {
  return isDamage(error) || (error instanceof DiskError && error.code === 'EIO');
}

export function isMissing(error: unknown): boolean {
  return error instanceof DiskError && error.code === 'ENOENT';
}
