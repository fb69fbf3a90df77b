import { describe, expect, it } from 'vitest';
import type { Bus } from '../../../../actors/kit/ports.ts';
import { InProcessHub } from '../../../../gateways/peer/in-process-bus.ts';
import {
  type ClusterSecrets,
  SEAL_BYTES,
  SealedBus,
  sealBus,
} from '../../../../gateways/peer/sealed-bus.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import { InvariantViolation } from '../../../../protocol/assert.ts';
import { type NodeId, parseNodeId } from '../../../../protocol/types.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';
import { sleep } from '../../../kit/wait.ts';

const n1 = parseNodeId('n1') as NodeId;
const n2 = parseNodeId('n2') as NodeId;
const OLD = 'the old secret of the cluster';
const NEW = 'the new secret of the cluster';

const ports = { clock: REAL_CLOCK, telemetry: NO_TELEMETRY };

/** What `from` sends that `to` hands over. */
async function exchange(from: ClusterSecrets | null, to: ClusterSecrets | null): Promise<string[]> {
  const hub = new InProcessHub(ports);
  const received: string[] = [];
  await sealBus(hub.bus(), to, NO_TELEMETRY).listen(n2, (lane, payload) => {
    received.push(`${lane} ${Buffer.from(payload)}`);
  });
  const sender = sealBus(hub.bus(), from, NO_TELEMETRY);
  sender.send(n2, 'raft', Buffer.from('x'));
  sender.broadcast(Buffer.from('y'));
  await sleep(5);
  return received;
}

describe('the sealed bus', () => {
  const only = (current: string): ClusterSecrets => ({ current, previous: null });
  const both = ['raft x', 'hello y'];

  it('is the bus itself without a secret', () => {
    const bus: Bus = new InProcessHub(ports).bus();
    expect(sealBus(bus, null, NO_TELEMETRY)).toBe(bus);
  });

  it('carries payloads between nodes with the same secret, and no others', async () => {
    expect(await exchange(only(OLD), only(OLD))).toEqual(both);
    expect(await exchange(only(OLD), only(NEW))).toEqual([]);
    expect(await exchange(null, only(NEW))).toEqual([]);
  });

  it('rotates in three steps, in each of which neighbours understand each other', async () => {
    const steps = [
      only(OLD),
      { current: OLD, previous: NEW },
      { current: NEW, previous: OLD },
      only(NEW),
    ];
    for (let i = 0; i + 1 < steps.length; i++) {
      const [a, b] = [steps[i] as ClusterSecrets, steps[i + 1] as ClusterSecrets];
      expect(await exchange(a, b)).toEqual(both);
      expect(await exchange(b, a)).toEqual(both);
    }
    expect(await exchange(only(OLD), only(NEW))).toEqual([]);
  });

  it('I40 binds a payload to its lane, its receiver and every bit', async () => {
    const hub = new InProcessHub(ports);
    const telemetry = recordingTelemetry();
    const captured: Uint8Array[] = [];
    await hub.bus().listen(n1, (_lane, payload) => void captured.push(payload));
    new SealedBus(hub.bus(), only(OLD), NO_TELEMETRY).send(n1, 'raft', Buffer.from('payload'));
    await sleep(5);
    const sealed = captured[0] as Uint8Array;

    const received: string[] = [];
    const receiver = new SealedBus(hub.bus(), only(OLD), telemetry);
    await receiver.listen(n1, (lane) => void received.push(lane));
    await receiver.listen(n2, (lane) => void received.push(lane));
    const attacker = hub.bus();
    let forged = 0;
    const attack = (to: NodeId, lane: 'raft' | 'request', bytes: Uint8Array): void => {
      forged++;
      attacker.send(to, lane, bytes);
    };
    attack(n1, 'request', sealed);
    attack(n2, 'raft', sealed);
    attacker.broadcast(sealed);
    forged += 2;
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = Uint8Array.from(sealed);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      attack(n1, 'raft', flipped);
    }
    for (let length = 0; length < sealed.length; length++) {
      attack(n1, 'raft', sealed.subarray(0, length));
    }
    await sleep(20);
    expect(received).toEqual([]);
    expect(telemetry.total('bus_messages_dropped', { reason: 'forged' })).toBe(forged);
    attacker.send(n1, 'raft', sealed);
    await sleep(5);
    expect(received).toEqual(['raft']);
  });

  it('leaves room for the seal and refuses what does not fit', async () => {
    const bus = new InProcessHub(ports).bus();
    const sealed = new SealedBus(bus, only(OLD), NO_TELEMETRY);
    expect(sealed.payloadBytesMax).toBe(bus.payloadBytesMax - SEAL_BYTES);
    await sealed.listen(n1, () => {});
    expect(sealed.send(n1, 'raft', new Uint8Array(sealed.payloadBytesMax))).toBe(true);
    expect(sealed.send(n1, 'raft', new Uint8Array(sealed.payloadBytesMax + 1))).toBe(false);
  });

  it('refuses a secret that is too short to be one', () => {
    const bus = new InProcessHub(ports).bus();
    expect(() => new SealedBus(bus, only('short'), NO_TELEMETRY)).toThrow(InvariantViolation);
  });
});
