import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { NO_HASH, readLine, sealed, TrailChecker } from '../../../../storage/audit/chain.ts';

const RECORD = {
  ...{ seq: 1, at: '2026-11-23T00:00:00.000Z', node: 'n1', who: 'admin', from: '127.0.0.1' },
  ...{ action: 'admin:write', resource: 'POST /admin/keys', status: 201, requestId: 'r-1' },
};

/** A line with the hash of whatever is before it, as whoever can write the file can make it. */
function hashed(head: string): string {
  return `${head},"hash":"${createHash('sha256').update(head).digest('hex')}"}`;
}

it('a line is read as it was sealed', () => {
  const { line, hash } = sealed(RECORD, NO_HASH);
  expect(readLine(line.trimEnd())).toEqual({ record: RECORD, prev: NO_HASH, hash });
});

// npm run fuzz -- --only 'audit line' --seed 1: the first was a SyntaxError, at the start of a node too.
it.each([
  ['no JSON', '{"prev":'],
  ['another value', 'null'],
  ['no record', '{"prev":"a"'],
  [
    'a number that is text',
    sealed(RECORD, NO_HASH).line.split(',"hash"')[0]?.replace('201', '"201"'),
  ],
  ['a count below 0', sealed(RECORD, NO_HASH).line.split(',"hash"')[0]?.replace('201', '-1')],
  ['a further member', sealed(RECORD, NO_HASH).line.split(',"hash"')[0]?.concat(',"more":1')],
])('a line with the right hash and %s is none, and a fault of its trail', (_what, head) => {
  const line = hashed(head as string);
  expect(readLine(line)).toBeNull();
  const checker = new TrailChecker();
  checker.add(line, 'f', 1);
  expect(checker.result().fault).toMatchObject({ file: 'f', line: 1 });
});
