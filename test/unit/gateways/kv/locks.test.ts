import { beforeEach, describe, expect, it } from 'vitest';
import { acquireLock, releaseLock } from '../../../../gateways/kv/locks.ts';
import { utf8 } from '../../../../protocol/bytes.ts';
import type { AppError } from '../../../../protocol/errors.ts';
import type { RequestContext } from '../../../../protocol/service.ts';
import { ref } from '../../../kit/applied-group.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';

const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const VALUE = new Uint8Array(0);

let service: ModelService;
let put: () => Promise<number>;
beforeEach(() => {
  service = new ModelService();
  const op = { type: 'put', ref: ref('k'), value: utf8('v'), contentType: null } as const;
  const rest = { ttlMs: null, condition: null };
  put = async () => (await service.put(CTX, { ...op, ...rest })).clock;
});

async function acquire(waitMs: number) {
  const { lease } = (await service.leases.grant(CTX, 60_000)).lease;
  const wanted = { name: 'x', lease, value: VALUE, waitMs };
  const { body } = await acquireLock({ service, clock: REAL_CLOCK, gone: null }, CTX, wanted);
  return body as { token: number; lease: number };
}

describe('a lock that has been held for longer than changes are kept', () => {
  it('is waited for all the same', async () => {
    const first = await acquire(0);
    service.compact(await put());
    await put();
    const second = acquire(5_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await releaseLock(service, CTX, 'x', first.token);
    expect((await second).token).toBeGreaterThan(first.token);
  });

  it('is still held when the wait is over', async () => {
    await acquire(0);
    service.compact(await put());
    const error = await acquire(50).catch((refusal: AppError) => refusal.code);
    expect(error).toBe('lock_held');
  });
});
