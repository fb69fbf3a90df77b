import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../protocol/random.ts';
import { type NodeId, parseNodeId } from '../../../protocol/types.ts';
import { type BusWorld, busConformance } from '../../conformance/bus.ts';
import { FAIR_WEATHER, type LinkWeather, SimNetwork } from '../../sim/network.ts';
import { Life, Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';

const id = (text: string): NodeId => parseNodeId(text) as NodeId;

function twoNodes(weather: Partial<LinkWeather> = {}) {
  const scheduler = new Scheduler();
  const trace = new Trace(() => scheduler.nowMs(), false, null);
  const network = new SimNetwork(scheduler, seededRandom(1), trace);
  network.weather = { ...FAIR_WEATHER, ...weather };
  const lives = [new Life('n1', 0), new Life('n2', 1)] as const;
  network.addNode(id('n1'));
  network.addNode(id('n2'));
  const a = network.bus(id('n1'), lives[0]);
  const b = network.bus(id('n2'), lives[1]);
  const received: { text: string; atMs: number }[] = [];
  void b.listen(id('n2'), (_lane, payload) => {
    received.push({ text: Buffer.from(payload).toString(), atMs: scheduler.nowMs() });
  });
  const send = (text: string): boolean => a.send(id('n2'), 'raft', Buffer.from(text));
  return { scheduler, trace, network, lives, a, b, received, send };
}

async function simulatedWorld(): Promise<BusWorld> {
  const scheduler = new Scheduler();
  scheduler.onThrow = () => {};
  const network = new SimNetwork(
    scheduler,
    seededRandom(1),
    new Trace(() => scheduler.nowMs(), false, null),
  );
  let count = 0;
  return {
    bus: async () => {
      const name = id(`n${++count}`);
      network.addNode(name);
      return network.bus(name, new Life(name, count - 1));
    },
    until: async (check, what) => {
      for (let i = 0; i < 500 && !check(); i++) await scheduler.run(scheduler.nowMs() + 10);
      if (!check()) throw new Error(`not within 5 s: ${what}`);
    },
    settle: () => scheduler.run(scheduler.nowMs() + 1000),
    dispose: async () => {},
  };
}

busConformance('the simulated network', simulatedWorld);

describe('the simulated network', () => {
  it('keeps the order of a link unless told to reorder', async () => {
    const inOrder = twoNodes({ jitterMsMean: 30 });
    for (let i = 0; i < 200; i++) inOrder.send(`${i}`);
    await inOrder.scheduler.run(10_000);
    expect(inOrder.received.map((r) => Number(r.text))).toEqual([...Array(200).keys()]);

    const mixed = twoNodes({ reorder: 0.5, reorderMsMax: 100 });
    for (let i = 0; i < 200; i++) mixed.send(`${i}`);
    await mixed.scheduler.run(10_000);
    expect(mixed.received).toHaveLength(200);
    expect(mixed.received.map((r) => Number(r.text))).not.toEqual([...Array(200).keys()]);
  });

  it('loses and repeats at the rates it is given', async () => {
    const lossy = twoNodes({ loss: 0.3 });
    for (let i = 0; i < 2000; i++) lossy.send('x');
    await lossy.scheduler.run(10_000);
    expect(lossy.received.length / 2000).toBeCloseTo(0.7, 1);

    const repeating = twoNodes({ duplicate: 0.5 });
    for (let i = 0; i < 2000; i++) repeating.send('x');
    await repeating.scheduler.run(10_000);
    expect(repeating.received.length / 2000).toBeCloseTo(1.5, 1);
  });

  it('repeats late, also to a process that was not there when it was sent (F6)', async () => {
    const { scheduler, network, send, received } = twoNodes();
    network.lateRepeats = 1;
    for (let i = 0; i < 50; i++) send(`${i}`);
    await scheduler.run(400);
    expect(received).toHaveLength(50);
    const later: string[] = [];
    const bus = network.bus(id('n2'), new Life('n2', 1));
    await bus.listen(id('n2'), (_lane, payload) => later.push(Buffer.from(payload).toString()));
    await scheduler.run(13_100);
    expect(received).toHaveLength(50);
    expect(later.map(Number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
  });

  it('a cut loses what is sent meanwhile, in that direction only', async () => {
    const { scheduler, network, send, received, b } = twoNodes();
    network.setCut(id('n2'), id('n1'), true);
    send('passes');
    expect(b.send(id('n1'), 'raft', Buffer.from('lost'))).toBe(true);
    await scheduler.run(100);
    expect(received.map((r) => r.text)).toEqual(['passes']);
  });

  it('a clog delivers everything in one late burst (F6)', async () => {
    const { scheduler, network, send, received } = twoNodes();
    network.setClogged(id('n1'), id('n2'), true);
    for (let i = 0; i < 10; i++) send(`${i}`);
    await scheduler.run(13_000);
    expect(received).toEqual([]);
    network.setClogged(id('n1'), id('n2'), false);
    await scheduler.run(13_010);
    expect(received).toHaveLength(10);
  });

  it('says no while its bus server is down (F25)', async () => {
    const { network, send, a } = twoNodes();
    network.setBusDown(id('n1'), true);
    expect(send('x')).toBe(false);
    expect(a.state()).toBe('disconnected');
    network.setBusDown(id('n1'), false);
    expect(send('y')).toBe(true);
  });

  it('hands messages of before to the process that listens now', async () => {
    const { scheduler, network, send, lives } = twoNodes({ latencyMsMin: 50 });
    send('for whoever is there');
    scheduler.kill(lives[1]);
    const later: string[] = [];
    const bus = network.bus(id('n2'), new Life('n2', 1));
    await bus.listen(id('n2'), (_lane, payload) => {
      later.push(Buffer.from(payload).toString());
    });
    await scheduler.run(200);
    expect(later).toEqual(['for whoever is there']);
  });

  it('nothing leaves a process that is dead', async () => {
    const { scheduler, send, lives, received } = twoNodes();
    scheduler.kill(lives[0]);
    expect(send('from the grave')).toBe(false);
    await scheduler.run(100);
    expect(received).toEqual([]);
  });

  it('takes its time for large payloads', async () => {
    const { scheduler, send, received } = twoNodes({ bytesPerMs: 1000, jitterMsMean: 0 });
    send('x'.repeat(100_000));
    await scheduler.run(1000);
    expect(received[0]?.atMs).toBeGreaterThan(99);
  });

  it('the same seed gives the same trace', async () => {
    const run = async (): Promise<string> => {
      const { scheduler, send, trace } = twoNodes({ loss: 0.2, duplicate: 0.2, reorder: 0.2 });
      for (let i = 0; i < 300; i++) send(`${i}`);
      await scheduler.run(1000);
      return trace.hash();
    };
    expect(await run()).toBe(await run());
  });
});
