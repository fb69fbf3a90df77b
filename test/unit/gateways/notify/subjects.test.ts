import { expect, it } from 'vitest';
import {
  isPublicSubject,
  isSubjectPattern,
  matchesPattern,
} from '../../../../gateways/notify/subjects.ts';

it('takes no subject of this program, of NATS or of replies, and no wildcard', () => {
  for (const subject of ['s3', 's3.orders', 'A-b_c.d', 'orders.minikv']) {
    expect(isPublicSubject(subject), subject).toBe(true);
  }
  for (const subject of [
    ...['', '.', 's3.', '.s3', 's3..x', 's3 x', 's3\r\n', 's3.*', 's3.>', '>', 'ü'],
    ...[
      'minikv',
      'minikv.minikv.node.n1.raft',
      'MiniKV.events',
      '$JS.API.STREAM',
      '$SYS',
      '_INBOX.a',
    ],
    ...[`s3.${'x'.repeat(65)}`, `s3${'.x'.repeat(100)}`],
  ]) {
    expect(isPublicSubject(subject), subject).toBe(false);
  }
});

it('knows patterns by tokens', () => {
  expect(['s3.>', '>', '*', 's3.*.x', 's3'].every(isSubjectPattern)).toBe(true);
  expect(['', 's3.>.x', 's3..x', 's3.a*', '$JS.>'].some(isSubjectPattern)).toBe(false);
  const cases: [string, string, boolean][] = [
    ...([['s3.a', 's3.>', true]] as [string, string, boolean][]),
    ['s3', 's3.>', false],
    ['s3.a.b', 's3.*', false],
    ['s3.a', 's3.*', true],
    ['s3', 's3.*', false],
    ['s3.a.b', 's3.*.b', true],
    ['t.a', 's3.>', false],
    ['s3.a', 's3.a', true],
    ['s3.a.b', 's3.a', false],
  ];
  for (const [subject, pattern, matches] of cases) {
    expect(matchesPattern(subject, pattern), `${subject} ${pattern}`).toBe(matches);
  }
});
