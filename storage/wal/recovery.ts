import type { Clock } from '../../protocol/clock.ts';
import type { Disk } from '../disk/port.ts';
import type { WalDamage, WalRecovery } from '../ports.ts';
import { listSegments, loadHead, saveHead, segmentPath, WAL_FOLDER, type WalHead } from './head.ts';
import { BATCH_HEADER_BYTES, readHeader, WAL_ID_BYTES } from './record.ts';
import { type ChainEnd, type VisitRecord, WalScan } from './scan.ts';
import { SegmentWal, type WalOptions } from './wal.ts';

const QUARANTINE_FOLDER = 'quarantine';

/**
 * Opens the node's WAL, or makes it. Calls `visit` with every record in order; `payload` is a view on
 * its segment (copy what is kept for long), `position` is the record's own: not below what position()
 * gave before its append, and below what that append returned.
 *
 * Damage beyond the highest synced position on record is a torn tail: zeroed durably, so that it can
 * never come back, and counted. Damage before it: nothing is touched, `wal` is null, and what was
 * visited is a prefix that must not be acted on. Rejects with DiskError when the disk fails.
 */
export async function openWal(
  disk: Disk,
  clock: Clock,
  options: WalOptions,
  visit: VisitRecord,
): Promise<{ wal: SegmentWal | null; recovery: WalRecovery }> {
  const head = await headOrBirth(disk, options);
  if (head === 'damaged') return { wal: null, recovery: damagedHead() };
  const sequences = await withoutDropped(disk, head);
  const scan = new WalScan(head, options.seal, visit);
  const tail = new TailBytes(head.walId);
  for (const sequence of sequences) {
    const bytes = await readSegment(disk, sequence);
    const before = scan.end;
    scan.add(sequence, bytes);
    if (scan.end !== before) tail.startsIn(bytes, scan.end);
    else tail.alsoIn(bytes);
  }
  const damage = damageOf(scan, head, sequences);
  if (damage !== null) return { wal: null, recovery: { tornBytes: 0, damage } };
  const wal = await continueWal(disk, clock, options, { head, scan, tail, sequences });
  return { wal, recovery: { tornBytes: tail.tornBytes, damage: null } };
}

/**
 * Moves a damaged WAL out of the way, for a replica that comes back with a new incarnation or a user
 * who accepts the loss. Returns its new path, or null when there was no WAL. The next openWal makes a new one.
 */
export async function quarantineWal(disk: Disk): Promise<string | null> {
  if ((await disk.list(WAL_FOLDER)).length === 0) return null;
  const taken = new Set(await disk.list(QUARANTINE_FOLDER));
  let number = 1;
  while (taken.has(`${WAL_FOLDER}-${number}`)) number++;
  const target = `${QUARANTINE_FOLDER}/${WAL_FOLDER}-${number}`;
  await disk.rename(WAL_FOLDER, target);
  return target;
}

/** A WAL is born when there is neither head nor segment; its head is durable before anything else. */
async function headOrBirth(disk: Disk, options: WalOptions): Promise<WalHead | 'damaged'> {
  const head = await loadHead(disk);
  if (head !== 'absent') return head;
  if ((await listSegments(disk)).length > 0) return 'damaged';
  const walId = options.random.bytes(WAL_ID_BYTES);
  const born = { walId, firstSequence: 1, firstPosition: 0, syncedPosition: 0 };
  await saveHead(disk, born);
  return born;
}

function damagedHead(): WalRecovery {
  const reason = 'the head file is missing or fails its checksum';
  const segment = `${WAL_FOLDER}/head`;
  return {
    tornBytes: 0,
    damage: { segment, offset: 0, syncedPosition: 0, position: 0, reason },
  };
}

/** Ends the removal of segments that dropBefore had begun; the head no longer counts them. */
async function withoutDropped(disk: Disk, head: WalHead): Promise<number[]> {
  const sequences = await listSegments(disk);
  for (const sequence of sequences) {
    if (sequence < head.firstSequence) await disk.remove(segmentPath(sequence));
  }
  return sequences.filter((sequence) => sequence >= head.firstSequence);
}

async function readSegment(disk: Disk, sequence: number): Promise<Buffer> {
  const file = await disk.open(segmentPath(sequence));
  try {
    const bytes = await file.read(0, await file.size());
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } finally {
    await file.close();
  }
}

/** Null when everything that was ever synced is in the chain. */
function damageOf(scan: WalScan, head: WalHead, sequences: readonly number[]): WalDamage | null {
  const { end } = scan;
  const syncedPosition = Math.max(scan.claimedPosition, head.syncedPosition);
  if (syncedPosition <= end.position) return null;
  const following = end.sequence + 1;
  const isGap = !sequences.includes(following) && sequences.some((other) => other > following);
  const reason = isGap ? `${end.reason}; segment ${following} is missing` : end.reason;
  const segment = segmentPath(end.sequence);
  return { segment, offset: end.offset, syncedPosition, position: end.position, reason };
}

/** What lies behind the chain's end, and the last batch before it. */
class TailBytes {
  readonly #walId: Uint8Array;
  /** The last batch, then zeros over whatever followed it in its segment. */
  repair: Uint8Array = new Uint8Array(0);
  tornBytes = 0;

  constructor(walId: Uint8Array) {
    this.#walId = walId;
  }

  startsIn(bytes: Buffer, end: ChainEnd): void {
    const usedEnd = endOfNonZero(bytes, end.offset);
    const marker = readHeader(bytes, end.offset, this.#walId);
    const isMarker = marker?.recordCount === 0 && marker.position === end.position;
    const markerEnd = end.offset + BATCH_HEADER_BYTES;
    const keptEnd = isMarker && usedEnd <= markerEnd ? markerEnd : end.offset;
    this.tornBytes = Math.max(0, usedEnd - keptEnd);
    this.repair = new Uint8Array(Math.max(usedEnd, keptEnd) - end.lastBatchOffset);
    this.repair.set(bytes.subarray(end.lastBatchOffset, keptEnd));
  }

  alsoIn(bytes: Buffer): void {
    this.tornBytes += endOfNonZero(bytes, 0);
  }
}

function endOfNonZero(bytes: Buffer, from: number): number {
  let end = bytes.length;
  while (end > from && bytes[end - 1] === 0) end--;
  return end;
}

/**
 * Repairs the tail and goes on behind it. The last batch is written again before the sync: after a
 * failed fsync the page cache may show bytes that the disk does not have and no later fsync would write.
 */
async function continueWal(
  disk: Disk,
  clock: Clock,
  options: WalOptions,
  found: { head: WalHead; scan: WalScan; tail: TailBytes; sequences: readonly number[] },
): Promise<SegmentWal> {
  const { head, scan, tail, sequences } = found;
  const { sequence, offset, lastBatchOffset, position } = scan.end;
  for (const later of sequences) {
    if (later > sequence) await disk.remove(segmentPath(later));
  }
  const file = await disk.open(segmentPath(sequence));
  if (tail.repair.length > 0) await file.write(lastBatchOffset, tail.repair);
  await file.sync();
  const segments = [...scan.segments];
  if (segments.length === 0) segments.push({ sequence, firstPosition: position });
  return new SegmentWal(disk, clock, options, {
    walId: head.walId,
    segments,
    file,
    offset,
    position,
  });
}
