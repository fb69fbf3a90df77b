import { describe, expect, it } from 'vitest';
import { AppliedChange } from '../../../../actors/apply/change.ts';
import { PublicEvents } from '../../../../actors/replica/public-events.ts';
import { encodeVersion } from '../../../../storage/kv/rows.ts';
import { ref } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

const TERM = 1;

function change(revision: number, valueBytes: number): AppliedChange {
  const times = { revision, createRevision: revision, version: 1, expiresAtMs: null };
  const value = new Uint8Array(valueBytes);
  const row = encodeVersion({ ...times, contentType: null, value, lease: 0 });
  return new AppliedChange('put', ref('k'), 0, revision, 0, revision, row, null);
}

function held(count: number, valueBytes: number) {
  const replica = FakeReplica.owning();
  const events = new PublicEvents(replica);
  for (let at = 1; at <= count; at++) events.hold([change(at, valueBytes)], null, TERM);
  events.advance(count, TERM);
  const { published, telemetry } = replica.ports;
  return { published: published.length, dropped: telemetry.total('events_dropped') };
}

describe('public events that wait for a prepared transaction', () => {
  it('all leave when it has ended', () => {
    expect(held(2_000, 10)).toEqual({ published: 2_000, dropped: 0 });
  });

  it('are dropped when there are too many, or too large ones: its home may be silent for long', () => {
    for (const [count, valueBytes] of [
      [20_000, 10],
      [40, 700_000],
    ] as const) {
      const { published, dropped } = held(count, valueBytes);
      expect(published + dropped).toBe(count);
      expect(dropped).toBeGreaterThan(count / 2);
    }
  });
});
