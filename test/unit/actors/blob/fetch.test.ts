import { describe, expect, it } from 'vitest';
import { BlobFetch, type FetchOutbox, type FetchOutcome } from '../../../../actors/blob/fetch.ts';
import { BlobServing, type ServingOutbox } from '../../../../actors/blob/serving.ts';
import type { Unreadable } from '../../../../protocol/messages/blob.ts';
import { type Random, randomInt, seededRandom } from '../../../../protocol/random.ts';
import type { NodeId } from '../../../../protocol/types.ts';
import { crc32c } from '../../../../storage/checksum.ts';
import { bytesOf, chunkOf, expectSame } from '../../../conformance/blob-store.ts';
import { type LinkFaults, LossyLink, PERFECT } from '../../../kit/lossy-link.ts';

const [A, B, C] = ['a', 'b', 'c'] as NodeId[] as [NodeId, NodeId, NodeId];
const PIECE = 1000;
const WINDOW = 4 * PIECE;
const TIMES = { retryMsMin: 100, retryMsMax: 800, giveUpMs: 10_000 };
const CHUNK = chunkOf(1_800_000_000_000, 1);
const ROUGH: LinkFaults = { dropRate: 0.15, repeatRate: 0.1, delayMs: [1, 40] };

/** A node that serves one chunk, with a disk that takes its time. */
class Server {
  readonly core = new BlobServing({
    transfersMax: 4,
    pieceBytes: PIECE,
    idleMs: 15_000,
    endedMax: 9,
  });
  reads = 0;
  open = 0;
  failAt: { offset: number; reason: Unreadable } | null = null;

  constructor(node: NodeId, link: LossyLink, random: Random, bytes: Uint8Array) {
    const closed = new Map<string, number>();
    const lives = (key: string) => closed.get(key) ?? 0;
    const later = (key: string, run: () => void) => {
      const life = lives(key);
      link.after(random.next() * 15, () => {
        if (life === lives(key)) run();
      });
    };
    const out: ServingOutbox = {
      send: (to, message) => link.send(node, to, message),
      open: (key) => {
        this.open++;
        later(key, () => this.core.opened(key, bytes.length, out));
      },
      read: (key, offset, length) => {
        this.reads++;
        later(key, () => {
          if (this.failAt !== null && offset + length > this.failAt.offset) {
            return this.core.failed(key, this.failAt.reason, out);
          }
          const data = bytes.subarray(offset, offset + length);
          this.core.read(key, offset, data, crc32c(data), out);
        });
      },
      close: (key) => {
        this.open--;
        closed.set(key, lives(key) + 1);
      },
    };
    link.listen(node, (from, m) => {
      if (m.type === 'BlobRead') this.core.ask(from, m, link.nowMs, out);
      else if (m.type === 'BlobAbandon') this.core.abandon(from, m, out);
    });
    const tick = () => {
      this.core.tick(link.nowMs, out);
      link.after(1_000, tick);
    };
    tick();
  }
}

interface Fetched {
  bytes: Uint8Array;
  outcome: FetchOutcome | null;
  overs: number;
}

function fetch(
  link: LossyLink,
  sources: readonly NodeId[],
  [start, end]: readonly [number, number],
  pace: () => number,
  damage: () => boolean = () => false,
): Fetched {
  const parts: Uint8Array[] = [];
  const seen: Fetched = { bytes: new Uint8Array(0), outcome: null, overs: 0 };
  let waiting = 0;
  let core: BlobFetch;
  const out: FetchOutbox = {
    sendRead: (to, range) =>
      link.send(A, to, { type: 'BlobRead', transfer: 7, chunk: CHUNK, ...range }),
    sendAbandon: (to) => link.send(A, to, { type: 'BlobAbandon', transfer: 7 }),
    deliver: (data) => {
      parts.push(data);
      waiting += data.length;
      expect(waiting).toBeLessThanOrEqual(WINDOW);
      link.after(pace(), () => {
        waiting -= data.length;
        core.consumed(data.length, link.nowMs, out);
      });
    },
    failedOver: () => void seen.overs++,
    ended: (outcome) => {
      expect(seen.outcome).toBeNull();
      seen.outcome = outcome;
      seen.bytes = Buffer.concat(parts);
    },
  };
  core = new BlobFetch(sources, { start, end, windowBytes: WINDOW }, TIMES, link.nowMs, out);
  link.listen(A, (from, m) => {
    if (m.type === 'BlobPiece') {
      const isIntact = crc32c(m.data) === m.crc && !damage();
      core.piece(from, m, isIntact, link.nowMs, out);
    } else if (m.type === 'BlobUnreadable') core.unreadable(from, m, link.nowMs, out);
  });
  const tick = () => {
    core.tick(link.nowMs, out);
    if (seen.outcome === null) link.after(50, tick);
  };
  tick();
  return seen;
}

describe('fetching a range of a chunk', () => {
  it('gives its bytes in order, each once, whatever the network does and however slow the client is', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = seededRandom(seed, 'fetch');
      const link = new LossyLink(random, ROUGH);
      const bytes = bytesOf(randomInt(random, 0, 15 * PIECE), seed);
      const server = new Server(B, link, random, bytes);
      const start = randomInt(random, 0, bytes.length);
      const end = start + randomInt(random, 1, 16 * PIECE);
      const slow = seed % 5 === 0 ? 3_000 : 30;
      const seen = fetch(
        link,
        [B],
        [start, end],
        () => random.next() * slow,
        () => random.next() < 0.05,
      );
      link.run(() => seen.outcome !== null, 600_000);
      expect(seen.outcome, `seed ${seed}`).toEqual({ type: 'done' });
      expectSame(seen.bytes, bytes.subarray(start, end));
      link.run(() => false, 60_000);
      expect([server.core.size, server.open]).toEqual([0, 0]);
    }
  });

  it('reads each piece once on a good network', () => {
    const random = seededRandom(1, 'good');
    const link = new LossyLink(random, PERFECT);
    const server = new Server(B, link, random, bytesOf(20 * PIECE, 1));
    const seen = fetch(link, [B], [0, 20 * PIECE], () => 1);
    link.run(() => seen.outcome !== null, 10_000);
    expect([seen.outcome?.type, server.reads]).toEqual(['done', 20]);
  });

  it('goes on with another source in the middle of the bytes', () => {
    for (const failure of ['missing', 'damaged', 'failed', 'silence'] as const) {
      for (let seed = 1; seed <= 20; seed++) {
        const random = seededRandom(seed, failure);
        const link = new LossyLink(random, ROUGH);
        const bytes = bytesOf(12 * PIECE, seed);
        const first = new Server(B, link, random, bytes);
        new Server(C, link, random, bytes);
        const seen = fetch(link, [B, C], [500, 11_500], () => random.next() * 30);
        if (failure === 'silence') link.after(60, () => link.listen(B, () => {}));
        else first.failAt = { offset: randomInt(random, 0, 11) * PIECE, reason: failure };
        link.run(() => seen.outcome !== null, 600_000);
        expect(seen.outcome, `${failure} ${seed}`).toEqual({ type: 'done' });
        expectSame(seen.bytes, bytes.subarray(500, 11_500));
        if (failure !== 'silence') expect(seen.overs).toBeLessThanOrEqual(1);
      }
    }
  });

  it('fails when no source gives it, and says why each did not', () => {
    const random = seededRandom(1, 'none');
    const link = new LossyLink(random, PERFECT);
    const server = new Server(B, link, random, bytesOf(5 * PIECE, 1));
    server.failAt = { offset: 2 * PIECE, reason: 'damaged' };
    const seen = fetch(link, [B, C], [0, 5 * PIECE], () => 1);
    link.run(() => seen.outcome !== null, 60_000);
    expect(seen.outcome).toEqual({
      type: 'failed',
      tried: [
        { node: B, reason: 'damaged' },
        { node: C, reason: 'unanswered' },
      ],
    });
  });
});
