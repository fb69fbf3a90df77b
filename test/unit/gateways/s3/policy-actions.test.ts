import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HANDLERS } from '../../../../gateways/s3/handlers.ts';
import { ACTIONS } from '../../../../gateways/s3/policy-actions.ts';
import { type Ask, asks, made, outcome, statement } from '../../../kit/s3-policies.ts';
import { type S3Server, startS3Server } from '../../../kit/s3-start.ts';

/** Nobody has to sign at `open`: who asks is the owner. At `closed` who does not sign is nobody. */
let open: S3Server;
let closed: S3Server;

beforeAll(async () => {
  [open, closed] = await Promise.all([startS3Server(), startS3Server({ allowUnsigned: false })]);
});
afterAll(() => Promise.all([open.stop(), closed.stop()]));

describe('the table of actions', () => {
  it('has a row for each handler, and a request of this test for each row', () => {
    const operations = Object.keys(HANDLERS).sort();
    expect(Object.keys(ACTIONS).sort()).toEqual(operations);
    const asked = new Set(asks('x').map(({ operation }) => operation));
    expect(operations.filter((one) => !asked.has(one))).toEqual(['ListBuckets']);
  });
});

const OWNERS = new Set([
  'GetBucketPolicy',
  'PutBucketPolicy',
  'DeleteBucketPolicy',
  'CreateBucket',
]);
/** Those that end what the next ones are asked about, in this order. */
const LAST = ['DeleteObject', 'DeleteObjects', 'DeleteBucket', 'DeleteBucketPolicy'];

function inOrder(name: string): Ask[] {
  const all = asks(name).filter(({ operation }) => operation !== 'PutBucketPolicy');
  const place = ({ operation }: Ask): number => LAST.indexOf(operation);
  return all.sort((a, b) => place(a) - place(b));
}

describe('every operation', () => {
  it('is refused to nobody where no policy and no ACL says otherwise', async () => {
    const name = await made(closed, 'private');
    for (const one of asks(name)) {
      expect([one.operation, await outcome(closed, one)]).toEqual([one.operation, 'denied']);
    }
  });

  it('is refused to the owner by a policy that denies it, but for the policy itself', async () => {
    const name = await made(open, 'denied', statement('denied', 'Deny'));
    for (const one of inOrder(name)) {
      const expected = OWNERS.has(one.operation) ? 'let in' : 'denied';
      expect([one.operation, await outcome(open, one)]).toEqual([one.operation, expected]);
    }
  });

  it('is allowed to nobody by a policy that allows it', async () => {
    const name = await made(closed, 'allowed', statement('allowed', 'Allow'));
    for (const one of inOrder(name)) {
      const expected = one.operation === 'CreateBucket' ? 'denied' : 'let in';
      expect([one.operation, await outcome(closed, one)]).toEqual([one.operation, expected]);
    }
  });

  it('is refused to nobody by the denial of its own action among all others', async () => {
    for (const one of asks('single')) {
      const action = ACTIONS[one.operation as keyof typeof ACTIONS];
      if (action === null) continue;
      const name = `single-${one.operation.toLowerCase()}`;
      const but = statement(name, 'Deny', { Action: action.name });
      await made(closed, name, statement(name, 'Allow'), but);
      const own = asks(name).find(({ operation }) => operation === one.operation) as Ask;
      expect([one.operation, await outcome(closed, own)]).toEqual([one.operation, 'denied']);
    }
  });
});
