import { expect, it, vi } from 'vitest';
import { governed } from '../../../../gateways/s3/governed-transactions.ts';
import { StoredPolicies } from '../../../../gateways/s3/stored-policy.ts';
import type { KvService } from '../../../../protocol/service.ts';
import type { TxnBody, TxnOp } from '../../../../protocol/txn.ts';
import { KV_SPACE, DEFAULT_TENANT as tenant } from '../../../../protocol/vshard.ts';
import { ModelObjects } from '../../../kit/model-objects.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { statement } from '../../../kit/s3-policies.ts';

const CONTEXT = { deadlineMs: 1000, traceparent: null, idempotency: null };
const ref = (key: string, space = 'bkt') => ({ tenant, space, key });
const remove = (key: string, versionId: string | null = null): TxnOp => ({
  ...{ type: 'deleteObject', ref: ref(key), bucket: 0, versionId },
});
const tag = (key: string): TxnOp => ({
  ...{ type: 'tagObject', ref: ref(key), bucket: 0, versionId: null, tags: [] },
});

/** What becomes of a transaction under these statements: `done`, or the code of the refusal. */
async function under(Statement: object[], body: Partial<TxnBody>): Promise<string> {
  const objects = new ModelObjects(() => 0);
  const policy = JSON.stringify({ Version: '2012-10-17', Statement });
  const documents: Record<string, string> = Statement.length === 0 ? {} : { policy };
  const wanted = { tenant, name: 'bkt', owner: 'abc', objectLock: false, documents };
  await objects.buckets.create({}, wanted);
  const transact = vi.fn(async () => ({}) as never);
  const service = { ...new ModelService(), transact } as unknown as KvService;
  const edge = governed(service, objects.buckets, new StoredPolicies());
  const whole = { compares: [], then: [], otherwise: null, ...body };
  const said = edge.transact(CONTEXT, whole).then(
    () => 'done',
    (error: { code: string }) => error.code,
  );
  const code = await said;
  expect(transact).toHaveBeenCalledTimes(code === 'done' ? 1 : 0);
  return code;
}

const deny = (Action: string | string[], more = {}) =>
  statement('bkt', 'Deny', { Action, Resource: 'arn:aws:s3:::bkt/*', ...more });

it('a policy binds transactions on the objects of its bucket', async () => {
  expect(await under([deny('s3:DeleteObject')], { then: [remove('k')] })).toBe('forbidden');
  expect(await under([deny('s3:DeleteObject')], { then: [tag('k')] })).toBe('done');
  expect(await under([deny('s3:PutObjectTagging')], { then: [tag('k')] })).toBe('forbidden');
  expect(await under([deny('s3:DeleteObject')], { then: [remove('k', 'null')] })).toBe('done');
  expect(await under([deny('s3:DeleteObjectVersion')], { then: [remove('k', 'null')] })).toBe(
    'forbidden',
  );
  const otherwise = [remove('k')];
  expect(await under([deny('s3:*')], { otherwise })).toBe('forbidden');
  const compares = [
    { ref: ref('k'), relation: '=', target: { type: 'exists', exists: true } } as const,
  ];
  expect(await under([deny('s3:GetObject')], { compares })).toBe('forbidden');
  expect(await under([deny('s3:GetObject')], { then: [{ type: 'get', ref: ref('k') }] })).toBe(
    'forbidden',
  );
});

it('by resource, in the text of the key, and whatever the conditions', async () => {
  const [Resource, key] = ['arn:aws:s3:::bkt/ü/*', Buffer.from('ü/1').toString('latin1')];
  expect(await under([deny('s3:*', { Resource })], { then: [remove(key)] })).toBe('forbidden');
  expect(await under([deny('s3:*', { Resource })], { then: [remove('u/1')] })).toBe('done');
  const Condition = { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } };
  expect(await under([deny('s3:*', { Condition })], { then: [remove('k')] })).toBe('forbidden');
});

it('and nothing else: keys, other buckets, allowances', async () => {
  const keys: TxnOp[] = [{ type: 'get', ref: ref('k', KV_SPACE) }];
  expect(await under([deny('s3:*')], { then: keys })).toBe('done');
  expect(await under([], { then: [remove('k')] })).toBe('done');
  expect(await under([statement('bkt', 'Allow')], { then: [remove('k')] })).toBe('done');
  const other: TxnOp = { type: 'get', ref: ref('k', 'other') };
  expect(await under([deny('s3:*')], { then: [other] })).toBe('done');
});
