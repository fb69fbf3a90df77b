import { describe, expect, it } from 'vitest';
import { type Anomaly, checkTransactions, type TxnSeen } from '../../check/transactions.ts';

let now = 0;

/** `r:x=ab a:y=c`: reads x as [a, b], appends c to y. Without times, one after another. */
function txn(name: string, text: string, more: Partial<TxnSeen> = {}): TxnSeen {
  const reads: { key: string; elements: string[] }[] = [];
  const appends: { key: string; element: string }[] = [];
  for (const part of text.split(' ')) {
    const [what = '', rest = ''] = part.split(':');
    const [key = '', list = ''] = rest.split('=');
    if (what === 'r') reads.push({ key, elements: [...list] });
    else appends.push({ key, element: list });
  }
  const call = now++;
  return { name, reads, appends, outcome: 'done', call, ret: now++, ...more };
}

/** Beside each other, by name: nothing is known of their order in time. */
const beside = (texts: Readonly<Record<string, string>>): TxnSeen[] =>
  Object.entries(texts).map(([name, text]) => txn(name, text, { call: 0, ret: 1e9 }));

const ROWS: readonly [string, TxnSeen[], Anomaly | null][] = [
  ['one after another', [txn('T1', 'a:x=1'), txn('T2', 'r:x=1 a:x=2'), txn('T3', 'r:x=12')], null],
  [
    'a lost answer that took effect',
    [txn('T1', 'a:x=1', { outcome: 'unknown', ret: Infinity }), txn('T2', 'r:x=1')],
    null,
  ],
  [
    'a lost answer without effect',
    [txn('T1', 'a:x=1', { outcome: 'unknown', ret: Infinity }), txn('T2', 'r:x=')],
    null,
  ],
  ['an aborted read', [txn('T1', 'a:x=1', { outcome: 'refused' }), txn('T2', 'r:x=1')], 'G1a'],
  ['an element twice', [txn('T1', 'a:x=1'), txn('T2', 'r:x=11')], 'duplicate'],
  ['an element from nowhere', [txn('T2', 'r:x=9')], 'unwritten'],
  ['a lost append', [txn('T1', 'a:x=1'), txn('T2', 'r:x=')], 'lost'],
  [
    'two orders',
    beside({ T1: 'a:x=1', T2: 'a:x=2', R: 'r:x=12', S: 'r:x=2' }),
    'incompatible-order',
  ],
  [
    'G0: writes of two transactions interleaved',
    beside({ T1: 'a:x=1 a:y=1', T2: 'a:x=2 a:y=2', R: 'r:x=12 r:y=21' }),
    'G0',
  ],
  ['G1c: each has read the other', beside({ T1: 'a:x=1 r:y=2', T2: 'a:y=2 r:x=1' }), 'G1c'],
  [
    'G-single: read skew, half of a transaction is seen',
    beside({ T1: 'a:x=1 a:y=1', R: 'r:x=1 r:y=', S: 'r:x=1 r:y=1' }),
    'G-single',
  ],
  ['G2: write skew', beside({ T1: 'r:x= a:y=1', T2: 'r:y= a:x=2', S: 'r:x=2 r:y=1' }), 'G2'],
  [
    'real time: what was over is not seen, by way of another list',
    [
      txn('W1', 'a:x=1', { call: 10, ret: 11 }),
      txn('W2', 'a:y=2', { call: 12, ret: 13 }),
      txn('R', 'r:x= r:y=2', { call: 5, ret: 20 }),
      txn('S', 'r:x=1 r:y=2', { call: 30, ret: 31 }),
    ],
    'real-time',
  ],
];

describe('B21 transaction anomalies are told apart', () => {
  it.each(ROWS)('%s', (_, all, anomaly) => {
    const verdict = checkTransactions(all);
    expect(verdict.result === 'ok' ? null : verdict.anomaly).toBe(anomaly);
  });
});
