import { crc32c } from '../checksum.ts';
import type { Disk } from '../disk/port.ts';
import { WAL_ID_BYTES } from './record.ts';

export const WAL_FOLDER = 'wal';
const HEAD_PATH = `${WAL_FOLDER}/head`;
const SEGMENT = /^([0-9]{12})\.wal$/;

/**
 * What is known about the WAL besides its segments. Written when it is born, when it moves to
 * another segment, when segments are dropped and at a clean end: so a missing first or last segment is found.
 */
export interface WalHead {
  readonly walId: Uint8Array;
  /** Sequence number of the oldest segment and the position of its first byte. */
  readonly firstSequence: number;
  readonly firstPosition: number;
  /** Everything before this was synced. */
  readonly syncedPosition: number;
}

export function segmentPath(sequence: number): string {
  return `${WAL_FOLDER}/${String(sequence).padStart(12, '0')}.wal`;
}

/** Sequence numbers of the segment files there are, rising. */
export async function listSegments(disk: Disk): Promise<number[]> {
  const names = await disk.list(WAL_FOLDER);
  return names.flatMap((name) => {
    const sequence = SEGMENT.exec(name)?.[1];
    return sequence === undefined ? [] : [Number(sequence)];
  });
}

export async function saveHead(disk: Disk, head: WalHead): Promise<void> {
  const body = JSON.stringify({ v: 1, ...head, walId: Buffer.from(head.walId).toString('hex') });
  const crc = crc32c(Buffer.from(body)).toString(16).padStart(8, '0');
  await disk.writeFileAtomic(HEAD_PATH, Buffer.from(`${crc}${body}`));
}

/** The head, 'absent' when there is no such file, 'damaged' when it fails its checksum. */
export async function loadHead(disk: Disk): Promise<WalHead | 'absent' | 'damaged'> {
  const file = await disk.readFile(HEAD_PATH);
  if (file === null) return 'absent';
  const text = Buffer.from(file).toString('utf8');
  const body = text.slice(8);
  const crc = crc32c(Buffer.from(body)).toString(16).padStart(8, '0');
  if (text.slice(0, 8) !== crc) return 'damaged';
  return headOf(body) ?? 'damaged';
}

/** Null: it is no head, although its checksum holds. */
function headOf(json: string): WalHead | null {
  let raw: { v: unknown; walId: unknown } & Omit<WalHead, 'walId'>;
  try {
    raw = Object(JSON.parse(json));
  } catch {
    return null;
  }
  const walId = Buffer.from(typeof raw.walId === 'string' ? raw.walId : '', 'hex');
  if (raw.v !== 1 || walId.length !== WAL_ID_BYTES) return null;
  const { firstSequence, firstPosition, syncedPosition } = raw;
  const counts = [firstSequence, firstPosition, syncedPosition];
  const isWhole = counts.every((count) => Number.isSafeInteger(count) && count >= 0);
  return isWhole ? { walId, firstSequence, firstPosition, syncedPosition } : null;
}
