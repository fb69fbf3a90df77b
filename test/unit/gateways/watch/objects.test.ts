import { describe, expect, it } from 'vitest';
import { eventToJson } from '../../../../gateways/kv/shapes.ts';
import { eventMessage } from '../../../../gateways/peer/events.ts';
import { watchOptions } from '../../../../gateways/watch/open.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ChangeEvent } from '../../../../protocol/messages/request.ts';
import { encodeRecord, NO_HEAD, type ObjectRecord } from '../../../../protocol/objects.ts';
import { revisionAtWallMs } from '../../../../protocol/revision.ts';
import type { GroupId } from '../../../../protocol/types.ts';

const PUT_AT = revisionAtWallMs(Date.UTC(2026, 0, 2, 3, 4, 5));
const REF = { tenant: 'default', space: 'photos', key: 'a/b.jpg' };
const RECORD: ObjectRecord = {
  ...{ putAt: PUT_AT, isNull: true, isMarker: false, size: 70_000, etag: 'e'.repeat(32) },
  ...{ checksum: null, head: { ...NO_HEAD, contentType: 'image/jpeg' }, pieces: [], upload: null },
};
const SHOWN = {
  ...{ size: 70_000, etag: 'e'.repeat(32), versionId: 'null', contentType: 'image/jpeg' },
  lastModified: '2026-01-02T03:04:05.000Z',
};

function change(kind: ChangeEvent['kind'], record: ObjectRecord | null): ChangeEvent {
  const versions = { revision: PUT_AT, createRevision: PUT_AT, version: 1 };
  const value = record === null ? null : encodeRecord(record);
  return {
    ...{ kind, ref: REF, vshard: 1, revision: PUT_AT, prevRevision: 4, sequence: 17, prev: null },
    item:
      value === null
        ? null
        : { ref: REF, value, ...versions, contentType: null, expiresAtMs: null },
  };
}

describe('changes of objects', () => {
  it('are events with what is known of the object, and without its bytes', () => {
    expect(eventToJson(change('put', RECORD))).toEqual({
      ...{ type: 'put', key: 'a/b.jpg', bucket: 'photos', object: SHOWN },
      ...{ revision: PUT_AT, prevRevision: 4, tenant: 'default', space: 'photos' },
    });
    expect(eventToJson(change('delete', null))).not.toHaveProperty('object');
  });

  it('are JSON on NATS, on the subject of their bucket', () => {
    const message = eventMessage(
      change('put', RECORD),
      3 as GroupId,
      null,
      LIMITS.busPayloadBytesMax,
    );
    expect(message.subject).toMatch(/^minikv\.events\.default\.photos\./);
    expect(message.headers['Minikv-Content-Type']).toBe('application/json');
    expect(JSON.parse(Buffer.from(message.payload).toString())).toEqual(SHOWN);
  });

  it('are watched by the name of a bucket, and nothing else has such a name', () => {
    expect(watchOptions({ bucket: 'photos' }, undefined).space).toBe('photos');
    expect(watchOptions({}, undefined).space).toBe('kv');
    for (const bucket of ['kv', '_locks', 'Photos', 'a', '']) {
      expect(() => watchOptions({ bucket }, undefined)).toThrow('no name of a bucket');
    }
  });
});
