import { expect, it } from 'vitest';
import { eventMessage, keyInEvent, sequencerOf } from '../../../../gateways/notify/event-record.ts';
import { revisionAtWallMs } from '../../../../protocol/revision.ts';

const facts = { region: 'eu-west-1', ownerId: 'owner' };
const atMs = Date.parse('2026-11-23T10:20:30.400Z');
const about = {
  ...{ revision: revisionAtWallMs(atMs), ref: { tenant: 'default', space: 'b', key: 'k' } },
  ...{ size: 3, etag: 'abc', versionId: 'v', ruleId: 'rule' },
};

it('writes the structure of the S3 user guide', () => {
  const by = { via: 'other', principal: 'me', address: '10.1.2.3', requestId: 'R' } as const;
  const text = eventMessage({ ...about, event: 'ObjectCreated:Put', by }, facts);
  expect(JSON.parse(text)).toEqual({
    Records: [
      {
        ...{ eventVersion: '2.1', eventSource: 'aws:s3', awsRegion: 'eu-west-1' },
        ...{ eventTime: '2026-11-23T10:20:30.400Z', eventName: 'ObjectCreated:Put' },
        userIdentity: { principalId: 'me' },
        requestParameters: { sourceIPAddress: '10.1.2.3' },
        responseElements: { 'x-amz-request-id': 'R', 'x-amz-id-2': 'R' },
        s3: {
          ...{ s3SchemaVersion: '1.0', configurationId: 'rule' },
          bucket: { name: 'b', ownerIdentity: { principalId: 'owner' }, arn: 'arn:aws:s3:::b' },
          object: {
            ...{ key: 'k', size: 3, eTag: 'abc', versionId: 'v' },
            sequencer: sequencerOf(about.revision),
          },
        },
      },
    ],
  });
});

it('says whose the bucket is, and who asked', () => {
  const by = { via: 'other', principal: 'bob', address: '', requestId: 'R' } as const;
  const of = { ...about, bucketOwner: 'alice', by };
  const text = eventMessage({ ...of, event: 'ObjectCreated:Put' }, facts);
  const [record] = (JSON.parse(text) as { Records: Record<string, unknown>[] }).Records;
  expect(record).toMatchObject({
    userIdentity: { principalId: 'bob' },
    s3: { bucket: { ownerIdentity: { principalId: 'alice' } } },
  });
});

it('leaves out what is not known, and says who acted by itself', () => {
  const gone = { ...about, size: null, etag: null, versionId: null, by: null };
  const text = eventMessage({ ...gone, event: 'LifecycleExpiration:Delete' }, facts);
  const [record] = (JSON.parse(text) as { Records: Record<string, unknown>[] }).Records;
  expect(record).toMatchObject({
    ...{ eventVersion: '2.3', userIdentity: { principalId: 's3.amazonaws.com' } },
    responseElements: {},
  });
  expect(record?.['s3']).toHaveProperty('object', {
    ...{ key: 'k', sequencer: sequencerOf(about.revision) },
  });
});

it('writes keys as in a query, from their bytes', () => {
  const engine = Buffer.from('a b/ü+(1).jpg').toString('latin1');
  expect(keyInEvent(engine)).toBe('a+b/%C3%BC%2B%281%29.jpg');
});

it('sequencers of later revisions are greater as text', () => {
  const revisions = [0, 1, 15, 16, 255, 4096, 2 ** 40, 2 ** 52, Number.MAX_SAFE_INTEGER];
  const texts = revisions.map(sequencerOf);
  expect(texts).toEqual([...texts].sort());
  expect(new Set(texts.map(({ length }) => length)).size).toBe(1);
});
