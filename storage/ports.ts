import type { ChunkName, ChunkSum } from '../protocol/blob.ts';
import type { Formation } from '../protocol/messages/node.ts';
import type { SnapshotMeta } from '../protocol/messages/raft.ts';
import type { GroupId, NodeId } from '../protocol/types.ts';
import type { DiskError } from './disk/port.ts';

/**
 * The node's write-ahead log: one per node, shared by all its actors, one stream id per actor
 * (the group id). A record is opaque here. Adapters: storage/wal (over any Disk), memory.
 */
export interface WalRecord {
  readonly stream: number;
  readonly payload: Uint8Array;
}

export interface Wal {
  /** Buffers records for the next sync; order is kept. Returns the position after the last one. */
  append(records: readonly WalRecord[]): number;
  /**
   * Writes and fsyncs everything appended so far, in one write and one fdatasync; calls back once.
   * One sync at a time: the caller waits, while there is no room for as long as that takes. After an
   * error the WAL is dead: the process must exit. `mayBlock`: nothing has to go on meanwhile, so a quick disk's sync
   * may be done, and `done` called, before this returns.
   */
  sync(done: (error: Error | null) => void, mayBlock?: boolean): void;
  /** Position of the next record: counts bytes since the WAL was born, never reused. */
  position(): number;
  /** Bytes between the oldest kept record and position(). */
  sizeBytes(): number;
  /** Removes segments that hold only records before `position`; none while the disk takes no write. */
  dropBefore(position: number): Promise<void>;
  close(): Promise<void>;
}

/** `slow`: syncs take long. `stalled`: the log waits for one, or for room. The others refuse writes. */
export type DiskTrouble = 'full' | 'read-only' | 'no-handles' | 'slow' | 'stalled';

/** What the actors ask about the disk; storage/disk/health.ts. */
export interface DiskView {
  /** Asks the disk itself; a few times a second. Never rejects. */
  look(): Promise<void>;
  trouble(): DiskTrouble | null;
  /** New writes of clients must be refused. */
  refusesWrites(): boolean;
  /** Entries of a leader, and its snapshots, may be taken. */
  takesEntries(): boolean;
  freeBytes(): number;
}

/** What opening a WAL found. */
export interface WalRecovery {
  /** Bytes of a torn tail that were cut; 0 for a clean end. Never synced, so never acknowledged. */
  readonly tornBytes: number;
  /**
   * Damage below the highest synced offset on record: acknowledged records are gone. The WAL was
   * left untouched and is not open. Null when all is well.
   */
  readonly damage: WalDamage | null;
}

export interface WalDamage {
  readonly segment: string;
  readonly offset: number;
  /** Highest position that is known to have been synced. */
  readonly syncedPosition: number;
  readonly position: number;
  readonly reason: string;
}

/** One write of a KvEngine batch; keys are latin1 byte strings; value null deletes. */
export interface EngineWrite {
  readonly key: string;
  readonly value: Uint8Array | null;
}

export interface EngineRange {
  /** Half-open [start, end). */
  readonly start: string;
  readonly end: string;
  readonly reverse: boolean;
  /** How many rows will be read, about, where that is known: what a short read needs is kept in memory. */
  readonly rows?: number;
}

export type EngineRow = readonly [key: string, value: Uint8Array];

/**
 * Ordered rows of one moment. `next` gives at most `max`, fewer where rows are large and [] at the end only; call
 * close when done.
 */
export interface EngineCursor {
  next(max: number): Promise<EngineRow[]>;
  close(): Promise<void>;
}

/** A frozen moment of the engine. */
export interface EngineSnapshot {
  cursor(range: EngineRange): EngineCursor;
  get(key: string): Uint8Array | null;
  close(): Promise<void>;
}

/**
 * The applied state's ordered store: any abstract-level store plugs in. A batch is atomic, and
 * batches become durable in order; only flush() makes them so. An error means the engine is
 * unusable and the process must exit: a failed write may still be there.
 */
export interface KvEngine {
  /** Synchronous point lookup; null when absent. */
  get(key: string): Uint8Array | null;
  /** The same on another thread, each row as of some moment before it resolves. */
  getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]>;
  snapshot(): EngineSnapshot;
  write(batch: readonly EngineWrite[]): Promise<void>;
  /** Returns when everything written before the call is durable. */
  flush(): Promise<void>;
  /** Writes down that a row is not what was written, so that no later life opens these files. */
  condemn(damage: DiskError): void;
  /** Of rows from `start` to before `end`: what was overwritten or removed is no longer in the files when it resolves. */
  compact(start: string, end: string): Promise<void>;
  close(): Promise<void>;
}

/** Ordered rows of one moment of a StateStore: memtables over an engine snapshot. */
export interface StateView {
  get(key: string): Uint8Array | null;
  cursor(range: EngineRange): EngineCursor;
  close(): Promise<void>;
}

/**
 * Memtables over a KvEngine: writes are synchronous and visible at once, and reach the engine in
 * the background in atomic batches that keep order (each apply batch whole). storage/kv/state-store.ts.
 */
export interface StateStore {
  get(key: string): Uint8Array | null;
  /** What is known without the engine: a row, null for a removed one, undefined where it must be asked. */
  peek(key: string): Uint8Array | null | undefined;
  /**
   * Reads what peek() does not know, off the main thread. `done` gets the row of some moment since the call,
   * undefined when it could not be read: get() then says why.
   */
  fetch(key: string, done: (row: Uint8Array | null | undefined) => void): void;
  /** Applies all writes at once. Duplicates: the last wins. */
  write(batch: readonly EngineWrite[]): void;
  /** A consistent moment; O(1) to take. Must be closed. */
  view(): StateView;
  /** Makes everything written before the call durable in the engine. */
  flush(): Promise<void>;
  /** Resolves when nearly everything written before the call is in the engine, durable or not. Cheap, where flush is not. */
  drained(): Promise<void>;
  /** Bytes not yet in the engine; apply pauses above memtableBytesMax. */
  pendingBytes(): number;
  close(): Promise<void>;
}

/** Where snapshot files live: one sealed or partial file per (group, snapshot id). */
export interface SnapshotStore {
  /** Writes a new snapshot from rows, with checksums; resolves with the sealed file's size. */
  create(
    group: GroupId,
    meta: Omit<SnapshotMeta, 'totalBytes'>,
    rows: EngineCursor,
  ): Promise<SnapshotMeta>;
  /** A piece of a sealed file. */
  readChunk(
    group: GroupId,
    snapshotId: string,
    offset: number,
    length: number,
  ): Promise<Uint8Array>;
  /** Stores a received piece at `offset`; resolves with the next offset wanted; the last one when all of it is synced. */
  writeChunk(group: GroupId, meta: SnapshotMeta, offset: number, data: Uint8Array): Promise<number>;
  /** Opens a complete file, all checksums verified first; rejects with DiskError EBADMSG if damaged. */
  openRows(group: GroupId, snapshotId: string): Promise<EngineCursor>;
  /** Removes all snapshots of the group, complete or not, but those in `keep`. */
  remove(group: GroupId, keep: readonly string[]): Promise<void>;
}

/** A chunk that is being written. One call at a time: the next piece when the last one is taken. */
export interface BlobWriter {
  /** Bytes taken so far. */
  readonly bytes: number;
  /** Takes the next piece; not durable before seal. After an error nothing of the chunk is left. */
  write(piece: Uint8Array): Promise<void>;
  /**
   * Bytes and name are durable when it resolves. A chunk of this name that is there with the same bytes is
   * replaced by these, which heals it. Rejects, with nothing left of what was written: EBADMSG when the bytes are
   * not the expected ones, EEXIST when there is another chunk of this name.
   */
  seal(expected: ChunkSum | null): Promise<ChunkSum>;
  /** Gives up; nothing is left. Does nothing when that is so already, or the chunk is sealed. */
  abandon(): Promise<void>;
}

/** An open chunk: it stays readable when it is removed. */
export interface BlobReader {
  readonly sum: ChunkSum;
  /** Verified bytes from `offset`, at most `length`, fewer at the end. Rejects with EBADMSG when damaged. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Something in the chunks' folders; `name` is null for what is no chunk of ours. */
export interface BlobFile {
  readonly path: string;
  readonly name: ChunkName | null;
}

export interface BlobUsage {
  readonly chunks: number;
  /** As the files have them, with headers. */
  readonly bytes: number;
}

/** Where a round of the scrubber is; kept over restarts, so that one that is often interrupted still comes to its end. */
export interface ScrubMark {
  /** Path of the last file that was looked at; null at the beginning of a round. */
  readonly after: string | null;
  /** Wall ms. */
  readonly roundStartMs: number;
  /** Read in this round. */
  readonly bytes: number;
  /** Read in the round before; null where there was none. */
  readonly lastBytes: number | null;
}

/**
 * Chunks of objects, each with its checksums. Errors are DiskErrors (BlobError where a chunk is to blame): ENOENT
 * for a missing chunk, EBADMSG for a damaged one, EIO where the disk cannot read it; ENOSPC, EROFS, EMFILE
 * while the disk takes no writes. storage/blob.
 */
export interface BlobStore {
  /** Begins a chunk; nobody sees it before it is sealed. */
  create(name: ChunkName): Promise<BlobWriter>;
  /** `frontBytes`: so many, from the beginning on, are about to be read, and may be fetched at once. */
  open(name: ChunkName, frontBytes?: number): Promise<BlobReader>;
  /** The files behind `after` in the order of their names, about `max`; [] at the end only. */
  list(after: string | null, max: number): Promise<BlobFile[]>;
  /** Counts the files of one page of list(). */
  measure(files: readonly BlobFile[]): Promise<BlobUsage>;
  /** No error when it is gone already. */
  remove(names: readonly ChunkName[]): Promise<void>;
  /** Moves a damaged chunk out of the way; it is missing from then on. */
  setAside(name: ChunkName): Promise<void>;
  /** Continues a CRC32C, from 0. */
  checksum(crc: number, bytes: Uint8Array): number;
  /** Null when there is none, or none that can be read: the round begins anew. */
  loadMark(): Promise<ScrubMark | null>;
  saveMark(mark: ScrubMark): Promise<void>;
}

/** Whose data folder this is. Written before anything else is, and whenever a part of it changes. */
export interface Identity {
  readonly nodeId: NodeId;
  /** 8 to 16 hex digits drawn when the folder was made, or made anew after its data was lost. */
  readonly incarnation: string;
  /** What the founders agreed on, cluster id included; null until formed or joined. */
  readonly formation: Formation | null;
  /** The log's first records were synced: from then on an empty log means that it was lost. */
  readonly born: boolean;
  /** Name of the cluster; folders of earlier versions do not say. */
  readonly cluster?: string;
}

/**
 * The node's durable parts, opened by actors/boot.ts in this order: identity, WAL, state. Built by the
 * composition roots over one data folder.
 */
export interface StoragePorts {
  /** Null for an empty folder. Rejects with DiskError EBADMSG when the file is damaged. */
  loadIdentity(): Promise<Identity | null>;
  saveIdentity(identity: Identity): Promise<void>;
  /** Replays every record in order through `visit`, then gives the WAL ready for appends. */
  openWal(
    visit: (stream: number, payload: Uint8Array, position: number) => void,
  ): Promise<{ wal: Wal | null; recovery: WalRecovery }>;
  /** Rejects with DiskError EBADMSG when the engine's files are damaged. */
  openState(): Promise<StateStore>;
  /** Moves the state's files aside, so that it can be made again from the log. */
  setStateAside(reason: string): Promise<void>;
  readonly snapshots: SnapshotStore;
  readonly blobs: BlobStore;
  readonly health: DiskView;
  /** Moves WAL, state and snapshots aside, so that the node can return empty with a new incarnation. */
  quarantine(reason: string): Promise<void>;
}
