import { describe, expect, it } from 'vitest';
import { InProcessHub, inProcessBus } from '../../../../gateways/peer/in-process-bus.ts';
import type { Clock } from '../../../../protocol/clock.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { type NodeId, parseNodeId } from '../../../../protocol/types.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';

const n1 = parseNodeId('n1') as NodeId;
const n2 = parseNodeId('n2') as NodeId;

/** A clock whose `soon` runs when the test says so. */
function steppedClock(): { clock: Clock; turn: () => number } {
  let queue: (() => void)[] = [];
  return {
    clock: {
      monotonicMs: () => 0,
      wallMs: () => 0,
      after: () => () => {},
      soon: (run) => void queue.push(run),
    },
    turn: () => {
      const ready = queue;
      queue = [];
      for (const run of ready) run();
      return ready.length;
    },
  };
}

describe('the in-process bus', () => {
  it('hands over a whole batch in one turn, in order', async () => {
    const { clock, turn } = steppedClock();
    const hub = new InProcessHub({ clock, telemetry: recordingTelemetry() });
    const bus = hub.bus();
    const received: string[] = [];
    await bus.listen(n1, (_lane, payload) => void received.push(Buffer.from(payload).toString()));
    for (let i = 0; i < 100; i++) bus.send(n1, 'raft', Buffer.from(`${i}`));
    expect(received).toEqual([]);
    expect(turn()).toBe(1);
    expect(received).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`));
    expect(turn()).toBe(0);
  });

  it('what a listener sends comes in the next turn, so that nobody starves the loop', async () => {
    const { clock, turn } = steppedClock();
    const bus = inProcessBus({ clock, telemetry: recordingTelemetry() });
    let count = 0;
    await bus.listen(n1, (lane) => {
      count++;
      if (lane !== 'hello') bus.send(n1, lane, new Uint8Array(1));
    });
    bus.send(n1, 'raft', new Uint8Array(1));
    for (let i = 1; i <= 5; i++) {
      turn();
      expect(count).toBe(i);
    }
  });

  it('P2 bounds what waits for a node, in messages and in bytes, and counts the rest', async () => {
    const { clock, turn } = steppedClock();
    const telemetry = recordingTelemetry();
    const bus = inProcessBus({ clock, telemetry });
    let received = 0;
    await bus.listen(n1, () => void received++);
    let taken = 0;
    for (let i = 0; i < LIMITS.inboxCommandsMax + 5; i++) {
      if (bus.send(n1, 'raft', new Uint8Array(1))) taken++;
    }
    expect(taken).toBe(LIMITS.inboxCommandsMax);
    turn();
    expect(received).toBe(taken);
    const large = new Uint8Array(LIMITS.busPayloadBytesMax);
    while (bus.send(n1, 'blob', large)) taken++;
    expect((taken - LIMITS.inboxCommandsMax) * large.length).toBe(LIMITS.inboxBytesMax);
    expect(telemetry.total('bus_messages_dropped', { reason: 'overflow' })).toBe(6);
    turn();
    expect(bus.send(n1, 'blob', large)).toBe(true);
  });

  it('a restarted node takes the place of its former life', async () => {
    const { clock, turn } = steppedClock();
    const hub = new InProcessHub({ clock, telemetry: recordingTelemetry() });
    const former: string[] = [];
    const next: string[] = [];
    const crashed = hub.bus();
    await crashed.listen(n1, (lane) => void former.push(lane));
    hub.bus().send(n1, 'raft', new Uint8Array(1));
    await hub.bus().listen(n1, (lane) => void next.push(lane));
    hub.bus().send(n1, 'request', new Uint8Array(1));
    turn();
    expect(former).toEqual([]);
    expect(next).toEqual(['request']);
    void crashed.drain();
    expect(hub.bus().send(n1, 'request', new Uint8Array(1))).toBe(true);
    expect(hub.bus().send(n2, 'request', new Uint8Array(1))).toBe(false);
  });

  it('events reach subscribers of the process, copied, until they stop', () => {
    const { clock, turn } = steppedClock();
    const hub = new InProcessHub({ clock, telemetry: recordingTelemetry() });
    const seen: string[] = [];
    const stop = hub.onEvent((event) => {
      seen.push(`${event.subject} ${event.headers['Minikv-Type']} ${Buffer.from(event.payload)}`);
    });
    hub.onEvent(() => {
      throw new Error('a subscriber must not throw');
    });
    const payload = Buffer.from('value');
    hub.bus().publishEvent('minikv.events.t.kv.k', { 'Minikv-Type': 'put' }, payload);
    payload.fill(0);
    turn();
    stop();
    hub.bus().publishEvent('minikv.events.t.kv.k', { 'Minikv-Type': 'delete' }, payload);
    turn();
    expect(seen).toEqual(['minikv.events.t.kv.k put value']);
  });
});
