import {
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import type { Bus, BusState } from '../../actors/kit/ports.ts';
import type { Telemetry } from '../../observability/port.ts';
import { assert } from '../../protocol/assert.ts';
import type { Lane } from '../../protocol/subjects.ts';
import type { NodeId } from '../../protocol/types.ts';
import { BusMetrics } from './bus-metrics.ts';

/**
 * A Bus that only nodes with the cluster's secret can use. Each payload carries HMAC-SHA256 over lane,
 * receiver and payload; what does not verify is counted and dropped before anything decodes it. It proves
 * membership, not freshness: a replayed payload verifies, and Raft drops it by term, incarnation and nonce.
 *
 * Changing the secret without a stop, in three restarts of every node, one node at a time:
 * 1. current = old, previous = new; 2. current = new, previous = old; 3. current = new.
 */

export const SEAL_BYTES = 32;
export const SECRET_CHARS_MIN = 16;

/** `current` signs; both verify. */
export interface ClusterSecrets {
  readonly current: string;
  readonly previous: string | null;
}

/** Returns `bus` itself when there is no secret. */
export function sealBus(bus: Bus, secrets: ClusterSecrets | null, telemetry: Telemetry): Bus {
  return secrets === null ? bus : new SealedBus(bus, secrets, telemetry);
}

export class SealedBus implements Bus {
  readonly #bus: Bus;
  readonly #metrics: BusMetrics;
  readonly #signing: KeyObject;
  readonly #verifying: readonly KeyObject[];

  constructor(bus: Bus, secrets: ClusterSecrets, telemetry: Telemetry) {
    this.#bus = bus;
    this.#metrics = new BusMetrics(telemetry);
    this.#signing = keyOf(secrets.current);
    this.#verifying =
      secrets.previous === null ? [this.#signing] : [this.#signing, keyOf(secrets.previous)];
  }

  get payloadBytesMax(): number {
    return this.#bus.payloadBytesMax - SEAL_BYTES;
  }

  state(): BusState {
    return this.#bus.state();
  }

  send(to: NodeId, lane: Lane, payload: Uint8Array): boolean {
    if (payload.length > this.payloadBytesMax) return this.#metrics.dropped(lane, 'oversize');
    return this.#bus.send(to, lane, this.#seal(lane, to, payload));
  }

  broadcast(payload: Uint8Array): boolean {
    if (payload.length > this.payloadBytesMax) return this.#metrics.dropped('hello', 'oversize');
    return this.#bus.broadcast(this.#seal('hello', '', payload));
  }

  listen(
    nodeId: NodeId,
    handle: (lane: Lane | 'hello', payload: Uint8Array) => void,
    absent?: (node: NodeId) => void,
  ): Promise<void> {
    const open = (lane: Lane | 'hello', sealed: Uint8Array): void => {
      const payload = this.#open(lane, lane === 'hello' ? '' : nodeId, sealed);
      if (payload === null) this.#metrics.dropped(lane, 'forged');
      else handle(lane, payload);
    };
    return this.#bus.listen(nodeId, open, absent);
  }

  /** Events are public: anyone may read them, so nothing is added. */
  publishesEvents(): boolean {
    return this.#bus.publishesEvents();
  }

  publishEvent(
    subject: string,
    headers: Readonly<Record<string, string>>,
    payload: Uint8Array,
  ): void {
    this.#bus.publishEvent(subject, headers, payload);
  }

  drain(): Promise<void> {
    return this.#bus.drain();
  }

  #seal(lane: Lane | 'hello', to: NodeId | '', payload: Uint8Array): Uint8Array {
    const sealed = Buffer.allocUnsafe(payload.length + SEAL_BYTES);
    sealed.set(payload, 0);
    sealed.set(macOf(this.#signing, lane, to, payload), payload.length);
    return sealed;
  }

  /** The payload, or null when no key made this seal. */
  #open(lane: Lane | 'hello', to: NodeId | '', sealed: Uint8Array): Uint8Array | null {
    if (sealed.length < SEAL_BYTES) return null;
    const payload = sealed.subarray(0, sealed.length - SEAL_BYTES);
    const seal = sealed.subarray(sealed.length - SEAL_BYTES);
    for (const key of this.#verifying) {
      if (timingSafeEqual(macOf(key, lane, to, payload), seal)) return payload;
    }
    return null;
  }
}

/** A key for this use only, so that the same secret may serve elsewhere. */
function keyOf(secret: string): KeyObject {
  assert(
    secret.length >= SECRET_CHARS_MIN,
    `a cluster secret has at least ${SECRET_CHARS_MIN} characters`,
  );
  return createSecretKey(
    Buffer.from(hkdfSync('sha256', secret, '', 'minikv bus seal 1', SEAL_BYTES)),
  );
}

/** Lane and node ids contain no NUL, so the parts cannot run into each other. */
function macOf(key: KeyObject, lane: Lane | 'hello', to: NodeId | '', payload: Uint8Array): Buffer {
  return createHmac('sha256', key).update(`${lane}\0${to}\0`).update(payload).digest();
}
