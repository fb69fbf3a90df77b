import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Bus } from '../../actors/kit/ports.ts';
import { LANES, type Lane } from '../../protocol/subjects.ts';
import { type NodeId, parseNodeId } from '../../protocol/types.ts';

/** Where buses of one network come from. Real adapters wait in real time, the simulator in its own. */
export interface BusWorld {
  /** A new, connected bus. */
  bus(): Promise<Bus>;
  /** Lets time pass until `check` holds; rejects with `what` when it does not within some seconds. */
  until(check: () => boolean, what: string): Promise<void>;
  /** Lets everything that is on the way arrive. */
  settle(): Promise<void>;
  dispose(): Promise<void>;
}

interface Received {
  readonly lane: Lane | 'hello';
  readonly payload: Uint8Array;
}

export const node = (text: string): NodeId => parseNodeId(text) as NodeId;
const bytes = (text: string): Uint8Array => Buffer.from(text);

async function collect(bus: Bus, nodeId: NodeId): Promise<Received[]> {
  const received: Received[] = [];
  await bus.listen(nodeId, (lane, payload) => {
    received.push({ lane, payload });
  });
  return received;
}

const texts = (received: readonly Received[]): string[] =>
  received.map(({ lane, payload }) => `${lane}:${Buffer.from(payload).toString()}`);

/** What every Bus keeps, whatever carries it. */
export function busConformance(name: string, make: () => Promise<BusWorld>): void {
  describe(`the bus contract: ${name}`, () => {
    let world: BusWorld;
    let a: Bus;
    let b: Bus;
    beforeEach(async () => {
      world = await make();
      a = await world.bus();
      b = await world.bus();
    });
    afterEach(() => world.dispose());

    it('is connected, with room for a payload', () => {
      expect(a.state()).toBe('connected');
      expect(a.payloadBytesMax).toBeGreaterThan(900 * 1024);
    });

    it('delivers on every lane, and only on that lane', async () => {
      const received = await collect(b, node('n2'));
      for (const lane of LANES) expect(a.send(node('n2'), lane, bytes(`to ${lane}`))).toBe(true);
      await world.until(() => received.length >= LANES.length, 'every lane');
      await world.settle();
      expect(texts(received).sort()).toEqual(LANES.map((lane) => `${lane}:to ${lane}`).sort());
    });

    it('delivers to the node named and to no other', async () => {
      const first = await collect(a, node('n1'));
      const second = await collect(b, node('n2'));
      a.send(node('n2'), 'raft', bytes('for two'));
      b.send(node('n1'), 'raft', bytes('for one'));
      a.send(node('n9'), 'raft', bytes('for nobody'));
      await world.until(() => first.length > 0 && second.length > 0, 'both nodes');
      await world.settle();
      expect(texts(first)).toEqual(['raft:for one']);
      expect(texts(second)).toEqual(['raft:for two']);
    });

    it('delivers to the sender itself when it is addressed', async () => {
      const received = await collect(a, node('n1'));
      a.send(node('n1'), 'request', bytes('to myself'));
      await world.until(() => received.length > 0, 'own payload');
      expect(texts(received)).toEqual(['request:to myself']);
    });

    it('never delivers inside send', async () => {
      let inside = false;
      let sawInside = false;
      let count = 0;
      await b.listen(node('n2'), () => {
        sawInside ||= inside;
        count++;
      });
      inside = true;
      a.send(node('n2'), 'raft', bytes('x'));
      inside = false;
      await world.until(() => count > 0, 'the payload');
      expect(sawInside).toBe(false);
    });

    it('broadcasts to every node that listens', async () => {
      const first = await collect(a, node('n1'));
      const second = await collect(b, node('n2'));
      expect(a.broadcast(bytes('hi'))).toBe(true);
      await world.until(() => second.length > 0, 'the broadcast');
      await world.settle();
      expect(texts(second)).toEqual(['hello:hi']);
      expect(first.every(({ lane }) => lane === 'hello')).toBe(true);
    });

    it('keeps bytes intact, all 256 of them and a full payload', async () => {
      const received = await collect(b, node('n2'));
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const full = new Uint8Array(a.payloadBytesMax);
      for (let i = 0; i < full.length; i++) full[i] = (i * 31) >> 3;
      for (const payload of [all, new Uint8Array(0), full]) a.send(node('n2'), 'raft', payload);
      await world.until(() => received.length === 3, 'three payloads');
      const found = (length: number): Uint8Array | undefined =>
        received.find(({ payload }) => payload.length === length)?.payload;
      expect(Buffer.compare(found(256) as Uint8Array, all)).toBe(0);
      expect(Buffer.compare(found(full.length) as Uint8Array, full)).toBe(0);
      expect(found(0)).toBeDefined();
    });

    it('lets the sender reuse its buffer as soon as send returns', async () => {
      const received = await collect(b, node('n2'));
      const buffer = Buffer.alloc(8);
      for (let i = 0; i < 50; i++) {
        buffer.fill(i);
        a.send(node('n2'), 'raft', buffer);
      }
      buffer.fill(255);
      await world.until(() => received.length === 50, 'fifty payloads');
      const values = received
        .map(({ payload }) => payload[7])
        .sort((x, y) => Number(x) - Number(y));
      expect(values).toEqual(Array.from({ length: 50 }, (_, i) => i));
    });

    it('refuses a payload above the limit and goes on', async () => {
      const received = await collect(b, node('n2'));
      const large = new Uint8Array(a.payloadBytesMax + 1);
      expect(a.send(node('n2'), 'raft', large)).toBe(false);
      expect(a.broadcast(large)).toBe(false);
      a.publishEvent('minikv.events.t.s.k', {}, large);
      expect(a.send(node('n2'), 'raft', bytes('small'))).toBe(true);
      await world.until(() => received.length > 0, 'the small payload');
      await world.settle();
      expect(texts(received)).toEqual(['raft:small']);
      expect(a.state()).toBe('connected');
    });

    it('survives a listener that throws', async () => {
      const seen: string[] = [];
      await b.listen(node('n2'), (_lane, payload) => {
        seen.push(Buffer.from(payload).toString());
        throw new Error('a listener must not throw');
      });
      a.send(node('n2'), 'raft', bytes('one'));
      a.send(node('n2'), 'raft', bytes('two'));
      await world.until(() => seen.length === 2, 'both payloads');
      expect(seen.sort()).toEqual(['one', 'two']);
    });

    it('sends what is queued before it stops, then refuses', async () => {
      const received = await collect(b, node('n2'));
      for (let i = 0; i < 100; i++) a.send(node('n2'), 'raft', bytes(`${i}`));
      await a.drain();
      expect(a.state()).toBe('closed');
      expect(a.send(node('n2'), 'raft', bytes('late'))).toBe(false);
      expect(a.broadcast(bytes('late'))).toBe(false);
      a.publishEvent('minikv.events.t.s.k', {}, bytes('late'));
      await world.until(() => received.length === 100, 'all that was queued');
      await world.settle();
      expect(received.length).toBe(100);
      await a.drain();
    });

    it('tells whoever sends to a node that nobody listens for it, and only then', async () => {
      const absent: string[] = [];
      await a.listen(
        node('n1'),
        () => {},
        (gone) => void absent.push(gone),
      );
      const received = await collect(b, node('n2'));
      a.send(node('n2'), 'raft', bytes('present'));
      await world.until(() => received.length > 0, 'the payload');
      await world.settle();
      expect(absent).toEqual([]);
      await b.drain();
      for (const lane of ['raft', 'request'] as const) {
        absent.length = 0;
        a.send(node('n2'), lane, bytes('to nobody'));
        await world.until(() => absent.length > 0, `absence on ${lane}`);
        expect(absent).toEqual(['n2']);
      }
    });

    it('stops listening when it is drained', async () => {
      const received = await collect(b, node('n2'));
      await b.drain();
      a.send(node('n2'), 'raft', bytes('to a stopped node'));
      await world.settle();
      expect(received).toEqual([]);
    });
  });
}
