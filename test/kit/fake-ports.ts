import type { Bus, BusState, Ports } from '../../actors/kit/ports.ts';
import type { NodeConfig } from '../../protocol/config.ts';
import { decodeEnvelope, type Message } from '../../protocol/envelope.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent } from '../../protocol/messages/request.ts';
import { seededRandom } from '../../protocol/random.ts';
import type { Lane } from '../../protocol/subjects.ts';
import type { NodeId } from '../../protocol/types.ts';
import { BlobFiles } from '../../storage/blob/blob-files.ts';
import { MemoryDisk } from '../../storage/disk/memory-disk.ts';
import type { Identity, StoragePorts } from '../../storage/ports.ts';
import { SnapshotFiles } from '../../storage/snapshot-file.ts';
import { HandClock } from './hand-clock.ts';
import { type RecordingTelemetry, recordingTelemetry } from './recording-telemetry.ts';

export function nodeConfig(overrides: Partial<NodeConfig> = {}): NodeConfig {
  return {
    nodeId: 'n1' as NodeId,
    cluster: 'test',
    initialMembers: ['n1' as NodeId],
    join: false,
    roles: ['replica', 'gateway'],
    groupCount: 2,
    retentionMs: 60_000,
    durability: 'memory',
    httpUrl: 'http://n1',
    version: '0.1.0',
    ...overrides,
  };
}

interface Sent {
  readonly to: NodeId | 'all';
  readonly lane: Lane | 'hello';
  readonly payload: Uint8Array;
}

/** A Bus that keeps what is sent. */
export class RecordingBus implements Bus {
  payloadBytesMax = LIMITS.busPayloadBytesMax;
  connection: BusState = 'connected';
  readonly sent: Sent[] = [];

  state(): BusState {
    return this.connection;
  }

  send(to: NodeId, lane: Lane, payload: Uint8Array): boolean {
    this.sent.push({ to, lane, payload });
    return true;
  }

  broadcast(payload: Uint8Array): boolean {
    this.sent.push({ to: 'all', lane: 'hello', payload });
    return true;
  }

  async listen(): Promise<void> {}

  publishesEvents(): boolean {
    return true;
  }
  publishEvent(): void {}

  async drain(): Promise<void> {}

  /** Every message sent so far, in order. */
  messages(): Message[] {
    return this.sent.flatMap(({ payload }) =>
      decodeEnvelope(payload).messages.map(({ message }) => message),
    );
  }
}

/** Ports whose every effect can be looked at, over a clock the test moves. */
export class FakePorts implements Ports {
  readonly clock: HandClock;
  readonly random = seededRandom(1, 'fake');
  readonly bus = new RecordingBus();
  readonly telemetry: RecordingTelemetry = recordingTelemetry();
  readonly published: { readonly event: ChangeEvent; readonly traceparent: string | null }[] = [];
  readonly fatals: { readonly reason: string; readonly error: unknown }[] = [];
  readonly notifications = { deliver: async () => {} };
  storage: StoragePorts;

  constructor(clock = new HandClock()) {
    this.clock = clock;
    this.storage = noStorage(new MemoryDisk(clock), clock);
  }

  publishChange(event: ChangeEvent, _group: number, traceparent: string | null): void {
    this.published.push({ event, traceparent });
  }

  fatal(reason: string, error: unknown): void {
    this.fatals.push({ reason, error });
  }
}

function noStorage(disk: MemoryDisk, clock: HandClock): StoragePorts {
  const none = (): Promise<never> => Promise.reject(new Error('this test opens no storage'));
  const saved: Identity[] = [];
  return {
    loadIdentity: async () => saved[saved.length - 1] ?? null,
    saveIdentity: async (identity) => void saved.push(identity),
    openWal: none,
    openState: none,
    snapshots: new SnapshotFiles(disk),
    blobs: new BlobFiles({ disk, clock, health: GOOD_HEALTH, onFatal: () => {} }),
    // Of its own: tests change it.
    health: { ...GOOD_HEALTH },
    setStateAside: none,
    quarantine: none,
  };
}

const GOOD_HEALTH: StoragePorts['health'] = {
  look: async () => {},
  trouble: () => null,
  refusesWrites: () => false,
  takesEntries: () => true,
  freeBytes: () => Number.MAX_SAFE_INTEGER,
};
