import { describe, expect, it } from 'vitest';
import { countSent, Encoder } from '../../../../gateways/watch/encoder.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import type { WatchMessage } from '../../../../protocol/service.ts';
import { changeAt } from '../../../kit/change-events.ts';

const event = (revision: number): WatchMessage => ({
  ...{ type: 'event', event: changeAt(revision), token: `t${revision}`, initial: false },
});
const lagged: WatchMessage = { type: 'lagged', token: 't' };

describe('an encoder', () => {
  it('encodes a batch once, however many readers it has', () => {
    let calls = 0;
    const encoder = new Encoder((messages) => Buffer.from(`${++calls}:${messages.length}`));
    const batch = [event(1), event(2)];
    expect(encoder.encode(batch)).toBe(encoder.encode(batch));
    expect(encoder.encode(batch).bytes.toString()).toBe('1:2');
    expect(encoder.encode([...batch]).bytes.toString()).toBe('2:2');
  });

  it('counts what each reader is sent, by type', () => {
    const counted: unknown[] = [];
    const telemetry = {
      ...NO_TELEMETRY,
      count: (name: string, by = 1, labels = {}) => void counted.push([name, by, labels]),
    };
    const encoder = new Encoder(() => Buffer.alloc(0));
    countSent(telemetry, encoder.encode([event(1), event(2), lagged]));
    expect(counted).toEqual([
      ['watch_events', 2, { type: 'put' }],
      ['watch_events', 1, { type: 'lagged' }],
      ['watch_lagged', 1, {}],
    ]);
  });
});
