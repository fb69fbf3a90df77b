import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventMessage, longKeyHash, publishChange } from '../../../../gateways/peer/events.ts';
import { InProcessHub } from '../../../../gateways/peer/in-process-bus.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ChangeEvent } from '../../../../protocol/messages/request.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';
import { sleep } from '../../../kit/wait.ts';

const GROUP = 3 as GroupId;
const MAX = LIMITS.busPayloadBytesMax;
const TRACE = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

function put(key: string, value: Uint8Array, contentType: string | null = null): ChangeEvent {
  const ref = { tenant: 'default', space: 'kv', key };
  const versions = { revision: 9, createRevision: 4, version: 2 };
  return {
    ...{ kind: 'put', ref, vshard: 1, revision: 9, prevRevision: 4, sequence: 17, prev: null },
    item: { ref, value, ...versions, contentType, expiresAtMs: null },
  };
}

describe('public events', () => {
  it('say what changed in their headers, and carry the value', () => {
    const event = put('users/42', Buffer.from('ada'), 'text/plain');
    expect(eventMessage(event, GROUP, TRACE, MAX)).toEqual({
      subject: 'minikv.events.default.kv.users.42',
      headers: {
        'Minikv-Type': 'put',
        'Minikv-Revision': '9',
        'Minikv-Prev-Revision': '4',
        'Minikv-Group': '3',
        'Minikv-Sequence': '17',
        'Minikv-Content-Type': 'text/plain',
        traceparent: TRACE,
      },
      payload: Buffer.from('ada'),
    });
  });

  it('of a delete and an expiry are empty', () => {
    for (const kind of ['delete', 'expire'] as const) {
      const message = eventMessage(
        { ...put('k', Buffer.from('v')), kind, item: null },
        GROUP,
        null,
        MAX,
      );
      expect(message.payload.length).toBe(0);
      expect(message.headers['Minikv-Type']).toBe(kind);
      expect(message.headers).not.toHaveProperty('traceparent');
    }
  });

  it('carry the key where the subject is a hash, or the key is not plain text', () => {
    const keys = ['k'.repeat(2_000), '\x00\xff', Buffer.from('é').toString('latin1')];
    for (const key of keys) {
      const { headers, subject } = eventMessage(put(key, Buffer.from('v')), GROUP, null, MAX);
      expect(Buffer.from(headers['Minikv-Key'] as string, 'base64').toString('latin1')).toBe(key);
      if (key.length > 900) expect(subject.endsWith(`._h${longKeyHash(key)}`)).toBe(true);
    }
    expect(eventMessage(put('k', Buffer.from('v')), GROUP, null, MAX).headers).not.toHaveProperty(
      'Minikv-Key',
    );
  });

  it('I34 never carry a line break into a header', () => {
    const any = fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b).toString('latin1'));
    fc.assert(
      fc.property(any, any, any, (key, contentType, trace) => {
        const { headers } = eventMessage(
          put(key, Buffer.from('v'), contentType),
          GROUP,
          trace,
          MAX,
        );
        for (const value of Object.values(headers)) expect(value).toMatch(/^[\x20-\x7e]*$/);
      }),
    );
  });

  it('never pass the payload limit: a value too large is left out and said to be', () => {
    const limit = 64 * 1024;
    for (const size of [0, 1, limit / 2, limit - 1, limit, LIMITS.valueBytesMax]) {
      for (const key of ['k', '\xff'.repeat(LIMITS.keyBytesMax)]) {
        const message = eventMessage(
          put(key, new Uint8Array(size), 'x'.repeat(256)),
          GROUP,
          TRACE,
          limit,
        );
        const headerBytes = JSON.stringify(message.headers).length;
        expect(message.payload.length + headerBytes).toBeLessThanOrEqual(limit);
        const isTruncated = message.headers['Minikv-Truncated'] === 'true';
        expect(isTruncated).toBe(message.payload.length !== size);
      }
    }
    const largest = eventMessage(put('k', new Uint8Array(LIMITS.valueBytesMax)), GROUP, null, MAX);
    expect(largest.payload.length).toBe(LIMITS.valueBytesMax);
  });

  it('are published through the bus', async () => {
    const hub = new InProcessHub({ clock: REAL_CLOCK, telemetry: NO_TELEMETRY });
    const subjects: string[] = [];
    hub.onEvent((event) => void subjects.push(event.subject));
    publishChange(hub.bus(), put('a/b', Buffer.from('v')), GROUP, null);
    await sleep(5);
    expect(subjects).toEqual(['minikv.events.default.kv.a.b']);
  });
});
