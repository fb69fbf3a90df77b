import { describe, expect, it } from 'vitest';
import { BlobReceiving, type ReceivingOutbox } from '../../../../actors/blob/receiving.ts';
import { BlobSender, type SenderOutbox, type SendOutcome } from '../../../../actors/blob/sender.ts';
import { type Random, randomInt, seededRandom } from '../../../../protocol/random.ts';
import type { NodeId } from '../../../../protocol/types.ts';
import { crc32c } from '../../../../storage/checksum.ts';
import { bytesOf, chunkOf, expectSame } from '../../../conformance/blob-store.ts';
import { type LinkFaults, LossyLink, PERFECT } from '../../../kit/lossy-link.ts';

const [A, B] = ['a', 'b'] as NodeId[] as [NodeId, NodeId];
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
      if (m.type === 'BlobDiscard' || m.transfer !== transfer) return;
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
      fed =
        feed === null ? bytes.length : Math.min(bytes.length, fed + randomInt(feed, 1, 3 * PIECE));
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
