import { makeEntry } from '../../protocol/entry.ts';
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  type Message,
} from '../../protocol/envelope.ts';
import type { GroupId, NodeId, ReplicaId } from '../../protocol/types.ts';

/** How long one envelope takes to encode and decode. `npx tsx bench/micro/envelope.ts`. */

const COUNT = 64;
const value = new Uint8Array(100);
const entries = Array.from({ length: COUNT }, (_, i) =>
  makeEntry({ index: i + 1, term: 3, kind: 'command', clockBound: 1e14 + i }, value),
);

function envelopeOf(messages: readonly Message[]): Envelope {
  const routed = messages.map((message) => ({
    group: 1 as GroupId,
    to: 'n2:abcdef12' as ReplicaId,
    message,
  }));
  const header = {
    clusterId: 'c'.repeat(32),
    from: 'n1:abcdef12' as ReplicaId,
    life: 7,
    wallMs: 1.8e12,
  };
  return { ...header, to: 'n2' as NodeId, messages: routed };
}

const append = (of: typeof entries): Message => ({
  ...{ type: 'AppendEntries', term: 3, prevLogIndex: 9, prevLogTerm: 3, leaderCommit: 8, nonce: 7 },
  entries: of,
});
const request = (i: number): Message => ({
  ...{ type: 'Request', life: 7, clock: 0, requestId: i, deadlineMs: 5_000, traceparent: null },
  body: {
    ...{ type: 'Write', epoch: 1, idempotency: null },
    ops: [
      {
        ...{ type: 'put', ref: { tenant: 'default', space: 'kv', key: `key-${i}` }, value },
        ...{ contentType: null, ttlMs: null, condition: null },
      },
    ],
  },
});

const cases: Record<string, Envelope> = {
  '1 append of 64 entries': envelopeOf([append(entries)]),
  '64 appends of 1 entry': envelopeOf(entries.map((entry) => append([entry]))),
  '64 write requests': envelopeOf(entries.map((_, i) => request(i))),
};

/** Processor time; the least of several rounds, since a busy machine only ever adds to it. */
function microseconds(run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 15; round++) {
    const start = process.cpuUsage();
    for (let i = 0; i < 1_000; i++) run();
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, (user + system) / 1_000);
  }
  return least;
}

for (const [name, envelope] of Object.entries(cases)) {
  const bytes = encodeEnvelope(envelope);
  const encodeUs = microseconds(() => encodeEnvelope(envelope));
  const decodeUs = microseconds(() => decodeEnvelope(bytes));
  const figures = `encode ${encodeUs.toFixed(1)} us, decode ${decodeUs.toFixed(1)} us`;
  console.log(`${name.padEnd(24)} ${bytes.length} bytes  ${figures}`);
}
