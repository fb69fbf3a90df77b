import { describe, expect, it } from 'vitest';
import { WriteSpans } from '../../../../actors/replica/write-spans.ts';
import type { Span, Telemetry } from '../../../../observability/port.ts';
import { writeAt as write } from '../../../kit/applied-log.ts';
import { FakePorts } from '../../../kit/fake-ports.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

/** Telemetry with open spans in view. */
function tracing(): { telemetry: Telemetry; spans: string[] } {
  const spans: string[] = [];
  const span = (name: string, parent: string | null): Span => {
    spans.push(`${name} < ${parent}`);
    return {
      traceparent: `${name}-${spans.length}`,
      set: () => {},
      end: (error) => spans.push(error === undefined ? `/${name}` : `/${name} ${error}`),
    };
  };
  return { telemetry: { ...new FakePorts().telemetry, tracing: true, span }, spans };
}

describe('spans of traced writes', () => {
  it('nest the sync under the proposal and follow the entry to its apply', () => {
    const { telemetry, spans } = tracing();
    const replica = new FakeReplica(1 as never, Object.assign(new FakePorts(), { telemetry }));
    const writes = new WriteSpans(replica);
    const proposed = writes.propose('00-client');
    writes.syncBegins();
    writes.synced();
    writes.apply(write(1, 'a', proposed?.traceparent ?? null))?.end();
    proposed?.end();
    expect(spans).toEqual([
      'raft.propose < 00-client',
      'wal.sync < raft.propose-1',
      '/wal.sync',
      'apply < raft.propose-1',
      '/apply',
      '/raft.propose',
    ]);
    writes.syncBegins();
    writes.synced();
    expect(spans).toHaveLength(6);
  });

  it('are none for untraced writes, and cost nothing when nobody collects them', () => {
    const { telemetry, spans } = tracing();
    const replica = new FakeReplica(1 as never, Object.assign(new FakePorts(), { telemetry }));
    const writes = new WriteSpans(replica);
    expect(writes.propose(null)).toBeNull();
    expect(writes.apply(write(1, 'a'))).toBeNull();
    expect(writes.apply(null)).toBeNull();
    const off = new FakePorts();
    Object.assign(off.telemetry, {
      span: () => {
        throw new Error('somebody asked for a span');
      },
    });
    const silent = new WriteSpans(new FakeReplica(1 as never, off));
    expect(silent.propose('00-client')).toBeNull();
    expect(silent.apply(write(1, 'a', '00-client'))).toBeNull();
    silent.syncBegins();
    silent.synced();
    expect(spans).toEqual([]);
  });

  it('are bounded in a burst', () => {
    const { telemetry, spans } = tracing();
    const replica = new FakeReplica(1 as never, Object.assign(new FakePorts(), { telemetry }));
    const writes = new WriteSpans(replica);
    for (let i = 0; i < 300; i++) writes.propose('00-client');
    writes.syncBegins();
    expect(spans.filter((name) => name.startsWith('wal.sync'))).toHaveLength(256);
  });
});
