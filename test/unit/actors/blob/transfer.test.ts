import { describe, expect, it } from 'vitest';
import { BlobFetch, type FetchOutbox, type FetchOutcome } from '../../../../actors/blob/fetch.ts';
import { BlobReceiving, type ReceivingOutbox } from '../../../../actors/blob/receiving.ts';
import { BlobSender, type SenderOutbox, type SendOutcome } from '../../../../actors/blob/sender.ts';
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
const RECEIVING = {
  ...{ transfersMax: 8, queuedBytesMax: 6 * PIECE, windowBytes: WINDOW, chunkBytesMax: 50 * PIECE },
  ...{ idleMs: 20_000, endedMax: 100 },
};

/** A node that receives: the core, and a disk that takes its time. */
class Receiver {
  readonly sealedBytes = new Map<string, Uint8Array>();
  readonly core: BlobReceiving;
  abandoned = 0;
  failure: 'full' | null = null;
  readonly #link: LossyLink;
  readonly #random: Random;
  #open = new Map<string, { parts: Uint8Array[]; work: (() => void)[]; busy: boolean }>();
  #isDead = false;

  constructor(node: NodeId, link: LossyLink, random: Random, limits = RECEIVING) {
    this.#link = link;
    this.#random = random;
    this.core = new BlobReceiving(limits);
    link.listen(node, (from, m) => {
      if (m.type === 'BlobWrite') this.core.write(from, m, link.nowMs, this.#out(node));
      else if (m.type === 'BlobAbandon') this.core.abandon(from, m, this.#out(node));
      expect(this.core.queuedBytes).toBeGreaterThanOrEqual(0);
      expect(this.core.queuedBytes).toBeLessThanOrEqual(limits.queuedBytesMax);
      expect(this.core.size).toBeLessThanOrEqual(limits.transfersMax);
    });
    const tick = () => {
      if (this.#isDead) return;
      this.core.tick(link.nowMs, this.#out(node));
      link.after(500, tick);
    };
    tick();
  }

  die(): void {
    this.#isDead = true;
  }

  #out(node: NodeId): ReceivingOutbox {
    const later = (key: string, run: () => void) => {
      const file = this.#open.get(key);
      file?.work.push(run);
      if (file !== undefined && !file.busy) this.#next(key, file);
    };
    return {
      send: (to, message) => this.#link.send(node, to, message),
      create: (key) => void this.#open.set(key, { parts: [], work: [], busy: false }),
      write: (key, data) =>
        later(key, () => {
          if (this.failure !== null) {
            this.#open.delete(key);
            return this.core.failed(key, this.failure, this.#out(node));
          }
          this.#open.get(key)!.parts.push(data);
          this.core.written(key, data.length, this.#out(node));
        }),
      seal: (key, expected) =>
        later(key, () => {
          const bytes = Buffer.concat(this.#open.get(key)!.parts);
          this.#open.delete(key);
          const sum = { bytes: bytes.length, crc: crc32c(bytes) };
          expect(this.sealedBytes.has(key)).toBe(false);
          if (sum.bytes !== expected.bytes || sum.crc !== expected.crc) {
            return this.core.failed(key, 'mismatch', this.#out(node));
          }
          this.sealedBytes.set(key, bytes);
          this.core.sealed(key, sum, this.#out(node));
        }),
      abandon: (key) => {
        this.abandoned++;
        this.#open.delete(key);
      },
    };
  }

  #next(key: string, file: { work: (() => void)[]; busy: boolean }): void {
    const run = file.work.shift();
    if (run === undefined) return;
    file.busy = true;
    this.#link.after(this.#random.next() * 20, () => {
      file.busy = false;
      if (this.#isDead || this.#open.get(key) !== file) return;
      run();
      this.#next(key, file);
    });
  }
}

/** A node that sends one chunk, which comes to it bit by bit. */
class Sender {
  outcome: SendOutcome | null = null;
  released = 0;
  readonly core: BlobSender;
  readonly #link: LossyLink;
  readonly #out: SenderOutbox;

  constructor(link: LossyLink, transfer: number, bytes: Uint8Array, feed: Random | null) {
    this.#link = link;
    this.core = new BlobSender({ pieceBytes: PIECE, windowBytes: WINDOW }, TIMES, link.nowMs);
    let allowed = WINDOW;
    const sum = { bytes: bytes.length, crc: crc32c(bytes) };
    this.#out = {
      sendPiece: ({ length, ...piece }) => {
        const { offset } = piece;
        expect(offset + length).toBeLessThanOrEqual(Math.max(allowed, offset));
        expect(offset).toBeGreaterThanOrEqual(this.released);
        const data = bytes.subarray(offset, offset + length);
        link.send(A, B, { type: 'BlobWrite', transfer, chunk: CHUNK, data, ...piece });
      },
      sendAbandon: () => link.send(A, B, { type: 'BlobAbandon', transfer }),
      release: (offset) => {
        expect(offset).toBeGreaterThan(this.released);
        this.released = offset;
      },
      ended: (outcome) => {
        expect(this.outcome).toBeNull();
        this.outcome = outcome;
      },
    };
    const earlier = handlers.get(link) ?? [];
    handlers.set(link, earlier);
    earlier.push((_, m) => {
      if (m.transfer !== transfer) return;
      if (m.type === 'BlobWanted') {
        allowed = Math.max(allowed, m.upTo);
        this.core.wanted(m, link.nowMs, this.#out);
      } else if (m.type === 'BlobSealed') this.core.sealed(m, this.#out);
      else if (m.type === 'BlobRefused') this.core.refused(m, this.#out);
    });
    link.listen(A, (from, m) => {
      for (const handle of earlier) handle(from, m);
    });
    let fed = 0;
    const give = () => {
      fed = feed === null ? bytes.length : Math.min(bytes.length, fed + randomInt(feed, 1, 3 * PIECE));
      this.core.offer(fed, fed === bytes.length ? sum : null, this.#out);
      if (fed < bytes.length) link.after(feed!.next() * 30, give);
    };
    give();
    const tick = () => {
      this.core.tick(link.nowMs, this.#out);
      if (this.outcome === null) link.after(50, tick);
    };
    tick();
  }

  abandon(): void {
    this.core.abandon(this.#out);
    this.#link.after(0, () => {});
  }
}

type Handler = Parameters<LossyLink['listen']>[1];
const handlers = new WeakMap<LossyLink, Handler[]>();

describe('sending a chunk', () => {
  it('arrives whole, once, whatever the network does', () => {
    let repeated = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const random = seededRandom(seed, 'transfer');
      const link = new LossyLink(random, ROUGH);
      const receiver = new Receiver(B, link, random);
      const count = randomInt(random, 1, 5);
      const senders = Array.from({ length: count }, (_, i) => {
        const bytes = bytesOf(randomInt(random, 0, 12) * PIECE + randomInt(random, 0, 3), i);
        return { bytes, sender: new Sender(link, 100 + i, bytes, seed % 2 === 0 ? random : null) };
      });
      link.run(() => senders.every(({ sender }) => sender.outcome !== null), 120_000);
      senders.forEach(({ bytes, sender }, i) => {
        const sum = { bytes: bytes.length, crc: crc32c(bytes) };
        expect(sender.outcome, `seed ${seed}`).toEqual({ type: 'sealed', sum });
        expectSame(receiver.sealedBytes.get(`a/${100 + i}`)!, bytes);
      });
      repeated += link.sent;
      // What comes late begins nothing anew.
      link.run(() => false, 40_000);
      expect([receiver.core.size, receiver.core.queuedBytes]).toEqual([0, 0]);
    }
    expect(repeated).toBeGreaterThan(0);
  });

  it('costs one message and an answer for each piece on a good network', () => {
    const random = seededRandom(1, 'good');
    const link = new LossyLink(random, PERFECT);
    new Receiver(B, link, random);
    const sender = new Sender(link, 1, bytesOf(20 * PIECE, 1), null);
    link.run(() => sender.outcome !== null, 10_000);
    expect(sender.outcome?.type).toBe('sealed');
    expect(link.sent).toBeLessThanOrEqual(20 + 20 + 1);
  });

  it('makes up for a loss in a round trip, without waiting for silence', () => {
    const random = seededRandom(1, 'loss');
    const link = new LossyLink(random, PERFECT);
    new Receiver(B, link, random);
    const send = link.send.bind(link);
    let pieces = 0;
    link.send = (from, to, message) => {
      if (message.type === 'BlobWrite' && ++pieces === 2) return;
      send(from, to, message);
    };
    const sender = new Sender(link, 1, bytesOf(6 * PIECE, 1), null);
    link.run(() => sender.outcome !== null, 10_000);
    expect(sender.outcome?.type).toBe('sealed');
    expect(link.nowMs).toBeLessThan(TIMES.retryMsMin * 2);
  });

  it('is refused where the disk refuses, and a repeated piece gets the same answer', () => {
    const random = seededRandom(1, 'full');
    const link = new LossyLink(random, { ...PERFECT, repeatRate: 0.5 });
    const receiver = new Receiver(B, link, random);
    receiver.failure = 'full';
    const sender = new Sender(link, 1, bytesOf(9 * PIECE, 1), null);
    link.run(() => sender.outcome !== null, 10_000);
    expect(sender.outcome).toEqual({ type: 'refused', reason: 'full' });
    receiver.failure = null;
    link.run(() => false, 40_000);
    expect([receiver.core.size, receiver.sealedBytes.size]).toEqual([0, 0]);
  });

  it('ends unanswered when the other side is gone, and refused when it came back empty', () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed, 'restart');
      const link = new LossyLink(random, ROUGH);
      const receiver = new Receiver(B, link, random);
      const bytes = bytesOf(20 * PIECE, 1);
      const sender = new Sender(link, 1, bytes, random);
      link.run(() => false, random.next() * 500);
      receiver.die();
      let second: Receiver | null = null;
      if (seed % 2 === 0) second = new Receiver(B, link, random);
      else link.listen(B, () => {});
      link.run(() => sender.outcome !== null, 120_000);
      const { outcome } = sender;
      outcomes.add(outcome?.type === 'refused' ? outcome.reason : `${outcome?.type}`);
      if (outcome?.type === 'sealed') {
        const sealed = receiver.sealedBytes.get('a/1') ?? second?.sealedBytes.get('a/1');
        expectSame(sealed!, bytes);
      }
    }
    expect([...outcomes].sort()).toEqual(['sealed', 'unanswered', 'unknown']);
  });

  it('an abandoned one leaves nothing, also when the word comes first', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed, 'abandon');
      const link = new LossyLink(random, ROUGH);
      const receiver = new Receiver(B, link, random);
      const sender = new Sender(link, 1, bytesOf(20 * PIECE, 1), random);
      link.run(() => false, random.next() * 200);
      sender.abandon();
      link.run(() => false, 60_000);
      expect([receiver.core.size, receiver.core.queuedBytes]).toEqual([0, 0]);
    }
  });

  it('more at once than a node takes are refused as busy', () => {
    const random = seededRandom(1, 'busy');
    const link = new LossyLink(random, PERFECT);
    new Receiver(B, link, random, { ...RECEIVING, transfersMax: 2 });
    const senders = [1, 2, 3].map((i) => new Sender(link, i, bytesOf(9 * PIECE, i), null));
    link.run(() => senders.every(({ outcome }) => outcome !== null), 60_000);
    expect(senders.map(({ outcome }) => outcome?.type)).toEqual(['sealed', 'sealed', 'refused']);
  });

  it('bytes beyond what a chunk may have, or beyond their own end, are refused', () => {
    const core = new BlobReceiving(RECEIVING);
    const sent: string[] = [];
    const out: ReceivingOutbox = {
      send: (_, m) => void sent.push(m.type === 'BlobRefused' ? m.reason : m.type),
      ...{ create: () => {}, write: () => {}, seal: () => {}, abandon: () => {} },
    };
    const piece = { type: 'BlobWrite', chunk: CHUNK, round: 1, offset: 0, released: 0 } as const;
    const data = new Uint8Array(PIECE);
    core.write(A, { ...piece, transfer: 1, data, end: { bytes: PIECE + 1, crc: 0 } }, 0, out);
    core.write(A, { ...piece, transfer: 2, data, end: null }, 0, out);
    core.write(A, { ...piece, transfer: 2, offset: 60 * PIECE, data, end: null }, 0, out);
    core.write(A, { ...piece, transfer: 3, offset: 5, released: 5, data, end: null }, 0, out);
    expect(sent).toEqual(['mismatch', 'mismatch', 'unknown']);
    expect([core.size, core.queuedBytes]).toEqual([0, 0]);
  });
});

/** A node that serves one chunk, with a disk that takes its time. */
class Server {
  readonly core = new BlobServing({ transfersMax: 4, pieceBytes: PIECE, idleMs: 15_000, endedMax: 9 });
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
      const seen = fetch(link, [B], [start, end], () => random.next() * slow, () => random.next() < 0.05);
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
