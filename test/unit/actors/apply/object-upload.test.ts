import { describe, expect, test } from 'vitest';
import type { Applied } from '../../../../actors/apply/apply.ts';
import { dataRowCodec, decodeRow } from '../../../../actors/apply/object-codec.ts';
import { readObject } from '../../../../actors/apply/object-read.ts';
import { nextBucketSweep } from '../../../../actors/apply/object-upload-list.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { type BucketRule, NO_CONDITION, type ObjectOp } from '../../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../../protocol/objects.ts';
import { AppliedGroup } from '../../../kit/applied-group.ts';
import { objectRef, RULE, VOTERS } from '../../../kit/object-history.ts';

const MIB = 1024 * 1024;
const ref = objectRef('big');
let drawn = 0;

function bucketGroup(): AppliedGroup {
  const group = new AppliedGroup();
  group.apply({ type: 'bucket', rule: RULE });
  return group;
}

function ask(group: AppliedGroup, op: ObjectOp, bucket = 1): Applied {
  return group.apply({
    ...{ type: 'object', revision: group.nextRevision(), epoch: 1, bucket, founders: VOTERS, op },
    ...{ idempotency: null, traceparent: null },
  });
}

function create(group: AppliedGroup, upload = 'u', bucket = 1) {
  const op = { type: 'uploadCreate' as const, ref, upload, head: NO_HEAD, checksum: null };
  return ask(group, op, bucket).object;
}

function part(
  group: AppliedGroup,
  number: number,
  size = 5 * MIB,
  etag = `p${number}`,
  checksum = Buffer.alloc(4, number),
) {
  const id = Buffer.alloc(16);
  id.writeUIntBE(group.wallMs, 0, 6);
  id.writeUInt32BE(++drawn, 12);
  const data = { id, bytes: size, chunkBytes: MIB, holders: VOTERS, inline: null };
  const named = { type: 'uploadPart' as const, ref, upload: 'u', number, size, etag };
  return ask(group, { ...named, checksum, data }).object;
}

type Named = { number: number; etag: string; checksum: Uint8Array | null };

function named(...numbers: number[]): Named[] {
  return numbers.map((number) => ({ number, etag: `p${number}`, checksum: null }));
}

function complete(group: AppliedGroup, parts: Named[], condition = NO_CONDITION): Applied {
  const whole = { type: 'uploadComplete' as const, ref, upload: 'u', parts, etag: 'whole-2' };
  return ask(group, { ...whole, checksum: null, ttlMs: null, condition });
}

function ended(group: AppliedGroup): number {
  return group.rowsOf('D').filter(([, row]) => decodeRow(dataRowCodec, row).endedAt > 0).length;
}

describe('a multipart upload', () => {
  test('becomes one object of the parts that are named; the others end', async () => {
    const group = bucketGroup();
    create(group);
    for (const number of [3, 1, 2]) expect(part(group, number)).toMatchObject({ type: 'uploaded' });
    part(group, 4, 10);
    const done = complete(group, named(1, 3, 4));
    expect(done.object).toMatchObject({ type: 'put', etag: 'whole-2', size: 10 * MIB + 10 });
    expect(done.events.map(({ kind }) => kind)).toEqual(['put']);
    expect(ended(group)).toBe(1);
    expect([...group.rowsOf('w'), ...group.rowsOf('q')]).toEqual([]);
    const view = group.state.view();
    const found = await readObject(view, ref, done.clock);
    await view.close();
    const pieces = found.type === 'found' ? found.version.record.pieces : [];
    expect(pieces.map(({ number, size }) => [number, size])).toEqual([
      [1, 5 * MIB],
      [3, 5 * MIB],
      [4, 10],
    ]);
  });

  test('tells what is wrong with the list of parts, and does nothing', () => {
    const group = bucketGroup();
    expect(part(group, 1)).toEqual({ type: 'no_such_upload' });
    create(group);
    part(group, 1, 100);
    part(group, 2);
    const cases: [Named[], object][] = [
      [[], { type: 'malformed' }],
      [named(2, 1), { type: 'invalid_part_order' }],
      [named(2, 2), { type: 'invalid_part_order' }],
      [named(1, 2), { type: 'entity_too_small', number: 1, size: 100 }],
      [named(2, 7), { type: 'invalid_part', number: 7 }],
      [[{ number: 2, etag: 'other', checksum: null }], { type: 'invalid_part', number: 2 }],
      [
        [{ number: 2, etag: 'p2', checksum: Buffer.alloc(4, 9) }],
        { type: 'invalid_part', number: 2 },
      ],
    ];
    for (const [parts, wanted] of cases) expect(complete(group, parts).object).toEqual(wanted);
    const matching = [{ number: 2, etag: 'p2', checksum: Buffer.alloc(4, 2) }];
    expect(complete(group, matching).object).toMatchObject({ type: 'put' });
  });

  test('a part that is uploaded again replaces the first, whose ETag is then wrong', () => {
    const group = bucketGroup();
    create(group);
    part(group, 1, 10, 'old');
    part(group, 1, 10, 'new');
    expect(ended(group)).toBe(1);
    const old = [{ number: 1, etag: 'old', checksum: null }];
    expect(complete(group, old).object).toEqual({ type: 'invalid_part', number: 1 });
    const fresh = [{ number: 1, etag: 'new', checksum: null }];
    expect(complete(group, fresh).object).toMatchObject({ type: 'put', size: 10 });
  });

  test('a completion that comes again hears what the first one did, whatever its condition says now', () => {
    const group = bucketGroup();
    create(group);
    part(group, 1);
    const absent = { match: null, noneMatch: ['*'] };
    const first = complete(group, named(1), absent);
    const second = complete(group, named(1), absent);
    expect(second.object).toEqual(first.object);
    expect(second.events).toEqual([]);
  });

  test('after an abort nothing is left, and nothing can be completed', () => {
    const group = bucketGroup();
    create(group);
    part(group, 1);
    part(group, 10_000);
    expect(ask(group, { type: 'uploadAbort', ref, upload: 'u' }).object).toMatchObject({
      type: 'aborted',
    });
    expect([...group.rowsOf('w'), ...group.rowsOf('q')]).toEqual([]);
    expect(ended(group)).toBe(2);
    expect(complete(group, named(1)).object).toEqual({ type: 'no_such_upload' });
    expect(part(group, 1)).toEqual({ type: 'no_such_upload' });
  });

  test('as many parts as there may be fit an entry and a value', () => {
    const group = bucketGroup();
    create(group);
    const numbers = Array.from({ length: LIMITS.objectPartsMax }, (_, i) => i + 1);
    const etag = 'f'.repeat(32);
    const checksum = Buffer.alloc(32, 1);
    for (const number of numbers) part(group, number, 4 * 1024 * MIB - 1, etag, checksum);
    const done = complete(
      group,
      numbers.map((number) => ({ number, etag, checksum })),
    );
    expect(done.object).toMatchObject({ type: 'put', size: 10_000 * (4 * 1024 * MIB - 1) });
    expect(done.events[0]?.item?.value.length).toBeLessThan(LIMITS.valueBytesMax);
  });

  test('O9: uploads of a bucket that is gone are swept, those of the next one of the name are not', async () => {
    const group = bucketGroup();
    create(group);
    part(group, 1);
    const enter = (rule: Partial<BucketRule>) =>
      group.apply({ type: 'bucket', rule: { ...RULE, ...rule } });
    expect(await nextSweep(group)).toBeNull();
    enter({ epoch: 2, state: 'deleting' });
    enter({ epoch: 3, state: 'gone' });
    enter({ epoch: 4, id: 2 });
    expect(complete(group, named(1)).object).toEqual({ type: 'bucket_unknown', epoch: 4 });
    create(group, 'fresh', 2);
    const sweep = await nextSweep(group);
    expect(sweep).toMatchObject({ ruleEpoch: 4, uploads: [{ key: 'big', upload: 'u' }] });
    for (let next = sweep; next !== null; next = await nextSweep(group)) {
      group.apply({ type: 'bucketSweep', revision: group.nextRevision(), ...next });
    }
    expect(group.rowsOf('w')).toHaveLength(1);
    expect(group.rowsOf('q')).toEqual([]);
    expect(ended(group)).toBe(1);
  });
});

async function nextSweep(group: AppliedGroup) {
  const view = group.state.view();
  try {
    return await nextBucketSweep(view);
  } finally {
    await view.close();
  }
}
