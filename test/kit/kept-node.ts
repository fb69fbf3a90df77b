import { expect } from 'vitest';
import { GroupState } from '../../actors/apply/group-state.ts';
import { FetchFailed } from '../../actors/blob/fetched.ts';
import { BlobKeeper } from '../../actors/blob/keeper.ts';
import { type Mended, Mender } from '../../actors/blob/mender.ts';
import type { KeptGroup } from '../../actors/blob/restore.ts';
import type { ScrubPace } from '../../actors/blob/scrub-plan.ts';
import type { GroupSight } from '../../actors/blob/sweep.ts';
import {
  type ChunkName,
  chunkText,
  type DataId,
  dataIdBytes,
  makeDataId,
} from '../../protocol/blob.ts';
import { NO_CONDITION, type ObjectOp } from '../../protocol/object-ops.ts';
import { NO_HEAD } from '../../protocol/objects.ts';
import { revisionAtWallMs } from '../../protocol/revision.ts';
import type { GroupId, NodeId } from '../../protocol/types.ts';
import { HEADER_BYTES } from '../../storage/blob/format.ts';
import { pathOfChunk } from '../../storage/blob/paths.ts';
import { MemoryDisk } from '../../storage/disk/memory-disk.ts';
import type { BlobStore } from '../../storage/ports.ts';
import { bytesOf, openStore, put } from '../conformance/blob-store.ts';
import { AppliedGroup, GROUP } from './applied-group.ts';
import { objectRef, RULE, VOTERS } from './object-history.ts';
import { recordingTelemetry } from './recording-telemetry.ts';
import { VirtualTime } from './virtual-time.ts';

export const CHUNK = 100_000;

/** A node with one group, and another node that may have what it lacks. */
export class Kept {
  readonly time = new VirtualTime(1);
  readonly clock = this.time.process().clock;
  readonly disk = new MemoryDisk(this.clock);
  readonly own: BlobStore = openStore(this.disk);
  readonly other: BlobStore = openStore(new MemoryDisk(this.clock));
  readonly group = new AppliedGroup();
  readonly keeper: BlobKeeper;
  readonly telemetry = recordingTelemetry();
  readonly mended: [string, Mended][] = [];
  isMember = true;
  configIndex = 0;
  #state: GroupState | null = null;
  /** Groups that have no replica here, and what they say; null: nothing. */
  readonly elsewhere = new Map<GroupId, GroupSight | null>();
  readonly asked: DataId[] = [];
  #drawn = 0;

  constructor(pace: ScrubPace | null = null) {
    this.group.apply({ type: 'bucket', rule: RULE });
    const mender = new Mender({
      blobs: this.own,
      reader: { fetch: (chunk, _, start, end) => this.#elsewhere(chunk, start, end) },
      onMended: (chunk, mended) => void this.mended.push([chunkText(chunk), mended]),
    });
    this.keeper = new BlobKeeper({
      ...{ ports: { clock: this.clock, telemetry: this.telemetry }, blobs: this.own },
      ...{ mender, pace, others: () => ['n2' as NodeId] },
      dataGroups: () =>
        this.isMember ? [GROUP, ...this.elsewhere.keys()] : [...this.elsewhere.keys()],
      look: async (group, ids) => {
        this.asked.push(...ids);
        return this.elsewhere.get(group) ?? null;
      },
      groups: () => [this.#kept()],
      replicas: () => [this.#kept()],
      close: async () => {},
    });
  }

  /** As a snapshot does: the same rows, in another state. */
  reopen(): void {
    this.#state = GroupState.open(this.group.store, GROUP);
  }

  #kept(): KeptGroup {
    return {
      ...{
        group: GROUP,
        state: this.#state ?? this.group.state,
        closed: revisionAtWallMs(this.group.wallMs),
      },
      ...{ isMember: this.isMember, isVoter: this.isMember, members: ['n2' as NodeId] },
      ...{ configIndex: this.configIndex, voters: 2, isJoint: false },
    };
  }

  /** Data on both disks, named by an object. */
  async object(key: string, bytes: number, isNamed = true): Promise<ChunkName[]> {
    const random = new Uint8Array(10).fill(++this.#drawn);
    const id = makeDataId(this.group.wallMs, random);
    const names: ChunkName[] = [];
    for (let at = 0; at < bytes; at += CHUNK) {
      const name = { data: id, number: names.length };
      const chunk = bytesOf(Math.min(CHUNK, bytes - at), names.length);
      await this.time.until(put(this.own, name, chunk));
      await this.time.until(put(this.other, name, chunk));
      names.push(name);
    }
    if (isNamed) expect(this.#apply(this.#put(key, id, bytes))).toBe('put');
    return names;
  }

  remove(key: string): void {
    const ref = objectRef(key);
    const op: ObjectOp = {
      ...{ type: 'delete', ref, versionId: null, condition: NO_CONDITION, bypass: false },
    };
    expect(this.#apply(op)).toBe('deleted');
  }

  async damage(name: ChunkName): Promise<void> {
    const file = await this.time.until(this.disk.open(pathOfChunk(name)));
    await this.time.until(file.write(HEADER_BYTES + 10, Buffer.from('damage')));
  }

  async files(): Promise<number> {
    return (await this.time.until(this.own.list(null, 1_000))).length;
  }

  #put(key: string, id: DataId, bytes: number): ObjectOp {
    const data = {
      ...{ id: dataIdBytes(id), bytes, chunkBytes: CHUNK, holders: VOTERS, inline: null },
    };
    return {
      ...{ type: 'put', ref: objectRef(key), size: bytes, etag: key, checksum: null },
      ...{ head: NO_HEAD, data, ttlMs: null, condition: NO_CONDITION },
    };
  }

  #apply(op: ObjectOp): string | undefined {
    const applied = this.group.apply({
      ...{ type: 'object', revision: this.group.nextRevision(), epoch: 1, bucket: 1 },
      ...{ founders: VOTERS, op, idempotency: null, traceparent: null },
    });
    return applied.object?.type;
  }

  async *#elsewhere(chunk: ChunkName, start: number, end: number): AsyncGenerator<Uint8Array> {
    const reader = await this.other.open(chunk).catch(() => null);
    if (reader === null) throw new FetchFailed(chunk, []);
    yield await reader.read(start, end);
    await reader.close();
  }
}
