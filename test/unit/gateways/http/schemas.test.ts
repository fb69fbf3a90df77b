import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as admin from '../../../../gateways/http/admin-schemas.ts';
import * as schemas from '../../../../gateways/http/schemas.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { call } from '../../../kit/raw-http.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.stop());

it('answers are what their schemas say', async () => {
  const ask = async (schema: TSchema, method: string, path: string, body?: unknown) => {
    const { json } = await call(server.url, method, path, { body });
    expect([path, [...Value.Errors(schema, json)]]).toEqual([path, []]);
  };
  await ask(schemas.PutAnswer, 'PUT', '/v1/kv/a', 'x');
  await ask(schemas.PutAnswer, 'PUT', '/v1/kv/%ff', Buffer.from([0xff]));
  await ask(schemas.Page, 'GET', '/v1/kv?limit=1');
  await ask(schemas.Page, 'GET', '/range');
  await ask(schemas.DeleteAnswer, 'DELETE', '/v1/kv/a');
  const ops = [{ op: 'get', key: 'a' }];
  await ask(schemas.BatchAnswer, 'POST', '/v1/batch', { ops });
  await ask(schemas.SeedBatchAnswer, 'POST', '/batch', { ops });
  const entries = [{ key: 'a', value: 'x' }];
  await ask(schemas.ImportAnswer, 'POST', '/admin/import', { entries });
  for (const path of ['/health', '/health/live', '/health/ready']) {
    await ask(admin.Health, 'GET', path);
  }
  await ask(admin.Limits, 'GET', '/v1/limits');
  await ask(admin.Status, 'GET', '/admin/status');
  await ask(admin.StateHashes, 'GET', '/admin/state-hashes');
  await ask(schemas.Problem, 'GET', '/v1/kv/none');
  await ask(schemas.Problem, 'POST', '/v1/txn', {});
});
