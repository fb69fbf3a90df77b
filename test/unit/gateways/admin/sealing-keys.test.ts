import { afterEach, expect, it } from 'vitest';
import { AppError } from '../../../../protocol/errors.ts';
import type { DataKeyStatus, DataKeys } from '../../../../protocol/sealing-keys.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';

let stop = async (): Promise<unknown> => null;
afterEach(() => stop());

const IDLE: DataKeyStatus = {
  ...{ dataKey: 1, dataKeys: [1], state: 'idle', at: null, places: {}, rounds: 0, error: null },
};
const chunks = { seen: 3, total: 9, resealed: 2, damaged: 1 };
const UNDER_WAY: DataKeyStatus = {
  ...{ dataKey: 2, dataKeys: [1, 2], state: 'resealing', at: 'chunks', places: { chunks } },
  ...{ rounds: 1, error: null },
};

async function started(dataKeys: DataKeys | null) {
  const server = await startGuardedServer(undefined, { dataKeys });
  stop = server.stop;
  return async (method: string, path: string) => {
    const headers = { authorization: `Bearer ${server.admin}` };
    const answer = await fetch(`${server.url}/admin/data-keys${path}`, { method, headers });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
}

it('the data keys of a node are shown, begun anew, and wrapped under another root key', async () => {
  let status = IDLE;
  const change = { rootKey: 'b'.repeat(16), before: 'a'.repeat(16) };
  const ask = await started({
    status: () => status,
    rotate: async () => {
      if (status !== IDLE) throw new AppError('conflict', 'the last one is not at its end');
      status = UNDER_WAY;
      return status;
    },
    reloadRootKey: async () => change,
  });
  expect(await ask('GET', '')).toMatchObject({ status: 200, body: IDLE });
  expect(await ask('POST', '/rotate')).toMatchObject({ status: 202, body: UNDER_WAY });
  expect(await ask('GET', '')).toMatchObject({ status: 200, body: UNDER_WAY });
  const again = await ask('POST', '/rotate');
  expect(again).toMatchObject({ status: 409, body: { code: 'conflict' } });
  expect(await ask('POST', '/reload-root-key')).toMatchObject({ status: 200, body: change });
});

it('a node whose folder is in clear has none', async () => {
  const ask = await started(null);
  for (const [method, path] of [
    ['GET', ''],
    ['POST', '/rotate'],
    ['POST', '/reload-root-key'],
  ] as const) {
    expect(await ask(method, path)).toMatchObject({
      status: 501,
      body: { code: 'not_implemented' },
    });
  }
});
