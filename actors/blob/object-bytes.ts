import { type DataId, dataIdBytes, dataIdOf, makeDataId } from '../../protocol/blob.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { ObjectData } from '../../protocol/object-access.ts';
import type { NewData } from '../../protocol/object-ops.ts';
import type { Piece } from '../../protocol/objects.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { type NodeId, nodeOf, type ReplicaId } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { BlobStore } from '../../storage/ports.ts';
import type { Ports } from '../kit/ports.ts';
import type { BytesReader } from './bytes-reader.ts';
import { LocalCopy, type NotTaken } from './copy.ts';
import { FetchFailed } from './fetched.ts';
import { PieceBuffers } from './piece-buffers.ts';
import { piecesOf } from './pieces.ts';
import { RemoteCopy } from './remote-copy.ts';
import type { BlobTransfers } from './transfers.ts';
import { Upload, UploadFailed, type UploadTarget } from './upload.ts';

const ID_RANDOM_BYTES = 10;

export interface DataHost {
  readonly ports: Pick<Ports, 'clock' | 'random' | 'telemetry'>;
  readonly self: ReplicaId;
  readonly transfers: BlobTransfers;
  readonly blobs: BlobStore;
  readonly reader: BytesReader;
  /** All other nodes that are known. */
  others(): readonly NodeId[];
  /** The members of the group of `ref`, as far as this node knows. */
  members(ref: KeyRef): GroupConfig;
  /** A group here has a row of it. */
  isKnown(id: DataId): boolean;
  /** Nothing was heard of the node for a while, or the bus says that it is gone. */
  isAway(node: NodeId): boolean;
}

/** Chunks that are to be written to the disks of some voters. */
interface Copies {
  readonly id: DataId;
  readonly voters: readonly ReplicaId[];
  /** Nobody has chunks of it yet, nor was anybody asked to name it. */
  readonly isNew: boolean;
  isQuorum(replicas: ReadonlySet<ReplicaId>): boolean;
}

/** Bytes of objects, written to and read from the disks of the nodes that vote in the object's group. */
export class ObjectBytes implements ObjectData {
  readonly #host: DataHost;
  readonly #buffers = new PieceBuffers(LIMITS.blobPieceBytes);

  constructor(host: DataHost) {
    this.#host = host;
  }

  async write(
    _ctx: RequestContext,
    ref: KeyRef,
    source: AsyncIterable<Uint8Array>,
    given?: DataId,
  ): Promise<NewData | null> {
    const { clock, random } = this.#host.ports;
    const pieces = piecesOf(source, this.#buffers);
    const first = await pieces.next();
    if (first.done) return null;
    const id = given ?? makeDataId(clock.wallMs(), random.bytes(ID_RANDOM_BYTES));
    const { length } = first.value;
    // A piece is larger than what may be inline, so a shorter one is all there is.
    if (length <= LIMITS.objectInlineBytesMax) {
      await pieces.return();
      return {
        ...{ id: dataIdBytes(id), bytes: length, chunkBytes: 0, holders: [] },
        inline: first.value,
      };
    }
    const config = this.#host.members(ref);
    const isQuorum = (replicas: ReadonlySet<ReplicaId>) => isQuorumOf(config, replicas);
    const copies = { id, isQuorum, voters: votersOf(config), isNew: true };
    return this.#upload(copies, [first.value], pieces);
  }

  async replicate(
    _ctx: RequestContext,
    _ref: KeyRef,
    data: NewData,
    voters: readonly ReplicaId[],
  ): Promise<NewData> {
    if (data.chunkBytes === 0) return data;
    const missing = voters.filter((voter) => !data.holders.includes(voter));
    if (missing.length === 0) return data;
    const isQuorum = (replicas: ReadonlySet<ReplicaId>): boolean =>
      isMajority(voters, new Set([...data.holders, ...replicas]));
    const { bytes, chunkBytes } = data;
    const piece = { number: 0, size: bytes, data: data.id, bytes, chunkBytes, checksum: null };
    const range = { start: 0, end: bytes };
    const source = this.#host.reader.read([...data.holders, ...voters].map(nodeOf), piece, range);
    const pieces = piecesOf(asAppErrors(source), this.#buffers);
    // What fails leaves the chunks alone: a copy of the command that was refused may yet name them.
    const copies = { id: dataIdOf(data.id), isQuorum, voters: missing, isNew: false };
    const copied = await this.#upload(copies, [], pieces);
    return { ...data, holders: [...data.holders, ...copied.holders] };
  }

  discard({ id, bytes, chunkBytes }: NewData): void {
    if (chunkBytes > 0) this.#discard(dataIdOf(id), Math.ceil(bytes / chunkBytes));
  }

  read(
    _ctx: RequestContext,
    ref: KeyRef,
    piece: Piece,
    range: { readonly start: number; readonly end: number },
  ): AsyncIterable<Uint8Array> {
    const nodes = votersOf(this.#host.members(ref)).map(nodeOf);
    return asAppErrors(this.#host.reader.read(nodes, piece, range));
  }

  async #upload(
    { id, isQuorum, voters, isNew }: Copies,
    begun: readonly Uint8Array[],
    pieces: AsyncGenerator<Uint8Array, void>,
  ): Promise<NewData> {
    const { ports, blobs } = this.#host;
    const chunkBytes = LIMITS.blobChunkBytes;
    const upload = new Upload({
      ...{ id, chunkBytes, clock: ports.clock, targets: this.#targets(isQuorum, voters), isQuorum },
      checksum: (crc, bytes) => blobs.checksum(crc, bytes),
      onTaken: (piece) => this.#buffers.give(piece),
    });
    try {
      for (const piece of begun) await upload.push(piece);
      for await (const piece of pieces) await upload.push(piece);
      const holders = [...(await upload.finish())].sort();
      ports.telemetry.count('blob_bytes_written', upload.bytes);
      return { id: dataIdBytes(id), bytes: upload.bytes, chunkBytes, holders, inline: null };
    } catch (error) {
      await pieces.return();
      const abandoned = upload.abandon();
      if (isNew) abandoned.then(() => this.#discard(id, upload.chunks));
      throw error instanceof UploadFailed ? asAppError(error) : error;
    }
  }

  #targets(
    isQuorum: (replicas: ReadonlySet<ReplicaId>) => boolean,
    voters: readonly ReplicaId[],
  ): UploadTarget[] {
    const { self, transfers, blobs, isAway } = this.#host;
    const near = voters.filter((voter) => voter === self || !isAway(nodeOf(voter)));
    // Without a quorum all are asked: what seems away may be there.
    const asked = isQuorum(new Set(near)) ? near : voters;
    return voters.map((replica) => ({
      replica,
      failed: asked.includes(replica) ? null : ('unanswered' as NotTaken),
      begin: (chunk) =>
        replica === self
          ? new LocalCopy(blobs, chunk, self)
          : new RemoteCopy(transfers, nodeOf(replica), chunk),
    }));
  }

  /** At most once: what is not told, or comes too late, is swept in time. */
  #discard(id: DataId, chunks: number): void {
    const { self, transfers, blobs, isKnown } = this.#host;
    if (chunks === 0) return;
    const names = Array.from({ length: chunks }, (_, number) => ({ data: id, number }));
    // Where a record names it after all, whoever discards it is wrong.
    if (!isKnown(id)) blobs.remove(names).catch(() => {}); // a failed sync of a folder has ended the process
    for (const node of this.#host.others()) {
      if (node !== nodeOf(self)) transfers.send(node, { type: 'BlobDiscard', data: id, chunks });
    }
  }
}

function votersOf({ voters, votersOld }: GroupConfig): ReplicaId[] {
  return [...new Set([...voters, ...(votersOld ?? [])])];
}

function isQuorumOf({ voters, votersOld }: GroupConfig, replicas: ReadonlySet<ReplicaId>): boolean {
  return isMajority(voters, replicas) && (votersOld === null || isMajority(votersOld, replicas));
}

function isMajority(voters: readonly ReplicaId[], replicas: ReadonlySet<ReplicaId>): boolean {
  return voters.filter((voter) => replicas.has(voter)).length * 2 > voters.length;
}

const FULL: ReadonlySet<NotTaken> = new Set(['full', 'read-only', 'no-handles']);

/** Nothing names it: it certainly did not happen. */
function asAppError(error: UploadFailed): AppError {
  const code = error.reasons.some((reason) => FULL.has(reason)) ? 'storage_full' : 'unavailable';
  return new AppError(code, error.message);
}

async function* asAppErrors(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  try {
    yield* source;
  } catch (error) {
    throw error instanceof FetchFailed ? new AppError('unavailable', error.message) : error;
  }
}
