import { describe, expect, it } from 'vitest';
import { SEAL_BYTES } from '../../../gateways/peer/sealed-bus.ts';
import { encodeCommand } from '../../../protocol/commands.ts';
import { ENTRY_HEADER_BYTES, makeEntry, packEntries } from '../../../protocol/entry.ts';
import { encodeEnvelope } from '../../../protocol/envelope.ts';
import { LIMITS } from '../../../protocol/limits.ts';
import { type TxnBody, type TxnOp, txnBytes } from '../../../protocol/txn.ts';
import type { GroupId, NodeId, ReplicaId } from '../../../protocol/types.ts';

const max = (length: number): string => '\xff'.repeat(length);

describe('limits', () => {
  it('are positive safe integers that cannot be changed', () => {
    for (const [name, value] of Object.entries(LIMITS)) {
      expect(Number.isSafeInteger(value) && value > 0, name).toBe(true);
    }
    expect(Object.isFrozen(LIMITS)).toBe(true);
  });

  it('a transaction that is not too large fits an entry, whatever its bytes are: names, types, values', () => {
    const [tenant, space] = ['x'.repeat(64), 'x'.repeat(64)];
    for (const count of [1, 64, LIMITS.txnOpsMax]) {
      for (const contentType of [null, 'x'.repeat(LIMITS.contentTypeBytesMax)]) {
        const bodyOf = (keyBytes: number): TxnBody => {
          const op: TxnOp = {
            ...({ type: 'put', value: new Uint8Array(0), contentType } as const),
            ...{ ref: { tenant, space, key: max(keyBytes) }, ttlMs: Number.MAX_SAFE_INTEGER },
            attach: { lease: Number.MAX_SAFE_INTEGER, until: Number.MAX_SAFE_INTEGER },
          };
          return { compares: [], then: new Array<TxnOp>(count).fill(op), otherwise: null };
        };
        let keyBytes = LIMITS.keyBytesMax;
        while (txnBytes(bodyOf(keyBytes)) > LIMITS.txnBytesMax) keyBytes--;
        const positions = Array.from({ length: count }, (_, i) => i);
        const command = encodeCommand({
          ...({
            type: 'txnPrepare',
            indexEpoch: 0,
            revision: Number.MAX_SAFE_INTEGER,
            epoch: 1,
          } as const),
          id: { home: 64, term: Number.MAX_SAFE_INTEGER, start: Number.MAX_SAFE_INTEGER },
          part: { body: bodyOf(keyBytes), comparesAt: [], thenAt: positions, otherwiseAt: [] },
        });
        expect(command.length, `${count} ${contentType?.length}`).toBeLessThanOrEqual(
          LIMITS.txnBytesMax + LIMITS.txnOpsMax * 160 + 8 * 1024,
        );
      }
    }
  });

  it('the largest put fits an entry, and that entry a sealed payload of the bus', () => {
    const command = encodeCommand({
      type: 'write',
      revision: Number.MAX_SAFE_INTEGER,
      epoch: Number.MAX_SAFE_INTEGER,
      ops: [
        {
          type: 'put',
          ref: { tenant: 'x'.repeat(64), space: 'x'.repeat(64), key: max(LIMITS.keyBytesMax) },
          value: new Uint8Array(LIMITS.valueBytesMax),
          contentType: 'x'.repeat(LIMITS.contentTypeBytesMax),
          ttlMs: Number.MAX_SAFE_INTEGER,
          condition: { type: 'revision', revision: Number.MAX_SAFE_INTEGER },
        },
      ],
      idempotency: {
        key: max(LIMITS.idempotencyKeyBytesMax),
        requestHash: new Uint8Array(32),
      },
      traceparent: 'x'.repeat(64),
    });
    expect(command.length).toBeLessThanOrEqual(LIMITS.entryBytesMax);
    expect(envelopeWith(new Uint8Array(LIMITS.entryBytesMax))).toBeLessThanOrEqual(
      LIMITS.busPayloadBytesMax - SEAL_BYTES,
    );
  });

  it('the largest append fits a sealed payload of the bus', () => {
    const payload = new Uint8Array(LIMITS.appendBytesMax - ENTRY_HEADER_BYTES - 4 - 64 * 1024);
    expect(payload.length).toBeLessThanOrEqual(LIMITS.entryBytesMax);
    expect(envelopeWith(payload) + 64 * 1024).toBeLessThanOrEqual(
      LIMITS.busPayloadBytesMax - SEAL_BYTES,
    );
  });
});

/** Size of an envelope with one AppendEntries of one entry. */
function envelopeWith(payload: Uint8Array): number {
  const count = Number.MAX_SAFE_INTEGER;
  const entry = makeEntry(
    { index: count, term: count, clockBound: count, kind: 'command' },
    payload,
  );
  expect(packEntries([entry]).length).toBeLessThanOrEqual(LIMITS.appendBytesMax);
  return encodeEnvelope({
    clusterId: 'c'.repeat(32),
    from: 'r'.repeat(64) as ReplicaId,
    to: 'n'.repeat(32) as NodeId,
    life: count,
    wallMs: count,
    messages: [
      {
        group: 1 as GroupId,
        to: 'r'.repeat(64) as ReplicaId,
        message: {
          type: 'AppendEntries',
          ...{ term: count, prevLogIndex: count, prevLogTerm: count, leaderCommit: count },
          nonce: count,
          entries: [entry],
        },
      },
    ],
  }).length;
}
