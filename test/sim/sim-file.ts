import { type Random, randomInt } from '../../protocol/random.ts';
import { GrowableBytes } from '../../storage/disk/growable-bytes.ts';

const SECTOR_BYTES = 512;

type Unsynced =
  | { readonly type: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: 'truncate'; readonly length: number };

/**
 * A file as two contents: what processes see (the page cache) and what survives a power cut, with
 * the list of writes between the two.
 */
export class SimFile {
  readonly seen: GrowableBytes;
  /** Whether a power cut leaves the file its name. */
  isNameDurable = true;
  #durable: GrowableBytes;
  #unsynced: Unsynced[] = [];
  /** Writes that are durable or were given up. */
  #syncedCount = 0;
  /** The newest write that is durable. */
  #lastSynced: { readonly offset: number; readonly end: number } | null = null;

  constructor(content: Uint8Array) {
    this.seen = new GrowableBytes(content);
    this.#durable = new GrowableBytes(content);
  }

  /** Writes so far: what a sync that begins now will make durable. */
  get writeCount(): number {
    return this.#syncedCount + this.#unsynced.length;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.seen.write(offset, bytes);
    this.#unsynced.push({ type: 'write', offset, bytes: new Uint8Array(bytes) });
  }

  truncate(length: number): void {
    this.seen.truncate(length);
    this.#unsynced.push({ type: 'truncate', length });
  }

  /** Everything up to this writeCount is durable now. */
  synced(writeCount: number): void {
    for (const write of this.#takeUnsynced(writeCount)) {
      apply(this.#durable, write);
      if (write.type === 'truncate') continue;
      this.#lastSynced = { offset: write.offset, end: write.offset + write.bytes.length };
    }
  }

  /** Of the newest durable write, if nothing was written behind it; else null. */
  lastAlone(): number | null {
    const last = this.#lastSynced;
    if (last === null) return null;
    const behind = this.seen.read(last.end, this.seen.length - last.end);
    return behind.some((byte) => byte !== 0) ? null : last.offset;
  }

  /**
   * A sync up to this writeCount failed: the kernel calls those pages clean, so the page cache
   * shows them and no later sync writes them. Some of them may have reached the disk.
   */
  syncFailed(writeCount: number, random: Random): void {
    this.#keepSome(this.#takeUnsynced(writeCount), random);
  }

  /** The machine lost power: of the unsynced writes some, all, none, or torn pieces are left. */
  powerCut(random: Random): SimFile {
    this.#keepSome(this.#takeUnsynced(this.writeCount), random);
    return new SimFile(this.#durable.read(0, this.#durable.length));
  }

  /** Flips bits of one durable byte. */
  flip(offset: number, mask: number): void {
    this.#durable.flip(offset, mask);
    this.seen.flip(offset, mask);
  }

  durableContent(): Uint8Array {
    return this.#durable.read(0, this.#durable.length);
  }

  #takeUnsynced(writeCount: number): Unsynced[] {
    const taken = this.#unsynced.splice(0, Math.max(0, writeCount - this.#syncedCount));
    this.#syncedCount += taken.length;
    return taken;
  }

  #keepSome(writes: readonly Unsynced[], random: Random): void {
    const mode = randomInt(random, 0, 3);
    const prefix = randomInt(random, 0, writes.length);
    writes.forEach((write, i) => {
      if (mode === 0) return;
      if (mode === 1) apply(this.#durable, write);
      else if (mode === 2 && i < prefix) apply(this.#durable, write);
      else if (mode === 2 && i === prefix) tear(this.#durable, write, random);
      else if (mode === 3 && random.next() < 0.6) tear(this.#durable, write, random);
    });
  }
}

function apply(content: GrowableBytes, write: Unsynced): void {
  if (write.type === 'write') content.write(write.offset, write.bytes);
  else content.truncate(write.length);
}

/** Leaves pieces of a write: whole, a prefix that ends at any byte, or any set of its sectors. */
function tear(content: GrowableBytes, write: Unsynced, random: Random): void {
  if (write.type === 'truncate' || random.next() < 0.3) return apply(content, write);
  const { offset, bytes } = write;
  if (random.next() < 0.4) {
    content.write(offset, bytes.subarray(0, randomInt(random, 0, bytes.length)));
    return;
  }
  for (let at = 0; at < bytes.length; ) {
    const sectorEnd = (Math.floor((offset + at) / SECTOR_BYTES) + 1) * SECTOR_BYTES - offset;
    const end = Math.min(sectorEnd, bytes.length);
    if (random.next() < 0.5) content.write(offset + at, bytes.subarray(at, end));
    at = end;
  }
}
