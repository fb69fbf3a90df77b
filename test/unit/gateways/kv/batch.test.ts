import { afterEach, describe, expect, it } from 'vitest';
import { batchToJson, type EdgeResult, packBatch } from '../../../../gateways/kv/batch.ts';
import { type EdgeOp, kvRef } from '../../../../gateways/kv/shapes.ts';
import { packBytes } from '../../../../protocol/codec.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { RequestContext, ScanOptions, ScanPage } from '../../../../protocol/service.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { call } from '../../../kit/raw-http.ts';

const running: ModelServer[] = [];
const start = async (...args: Parameters<typeof startModelServer>): Promise<string> => {
  const server = await startModelServer(...args);
  running.push(server);
  return server.url;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map(({ stop }) => stop()));
});

/** Counts the scans; each takes a while. */
class SlowScans extends ModelService {
  scans = 0;
  tookMs = 0;

  override async scan(ctx: RequestContext, options: ScanOptions): Promise<ScanPage> {
    this.scans++;
    await new Promise((resolve) => setTimeout(resolve, this.tookMs));
    return super.scan(ctx, options);
  }
}

/** Results by what they are. */
function countsOf(results: readonly { code?: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { code = 'ok' } of results) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}

describe('the answer of a batch', () => {
  it('in MessagePack is that of its shapes', () => {
    const put = { type: 'put' as const, revision: 2 ** 40, createRevision: 3, version: 2 ** 33 };
    const refused = { type: 'precondition_failed' as const, revision: 7 };
    const missing = { kind: 'error' as const, code: 'wrong_shard' as const, definite: true };
    const of = (key: string, result: EdgeResult): [EdgeOp, EdgeResult] => [
      { kind: 'write', op: { type: 'delete', ref: kvRef(key), condition: null } },
      result,
    ];
    const rows = [
      of('k', { kind: 'write', result: put }),
      of('\xc3\xa4', { kind: 'write', result: put }),
      of('\xff', { kind: 'write', result: put }),
      of('gone', { kind: 'write', result: { type: 'deleted', deleted: true, revision: 5 } }),
      of('held', { kind: 'write', result: refused }),
      of('moved', { ...missing, message: 'the shard map changed' }),
    ];
    const ops = rows.map(([op]) => op);
    const outcome = { results: rows.map(([, result]) => result), clock: 2 ** 41 };
    const shapes = { results: batchToJson(ops, outcome, true), revision: outcome.clock };
    expect(packBatch(ops, outcome)).toEqual(packBytes(shapes));
  });

  it.each([
    ['text', 'v'],
    ['text that JSON makes six times as long', '\u0001'],
  ])('is bounded, whatever a small request asks for: %s', async (_, char) => {
    const service = new SlowScans();
    const url = await start({}, service);
    await call(url, 'PUT', '/v1/kv/big/0', { body: char.repeat(700_000) });
    await call(url, 'PUT', '/v1/kv/big/1', { body: char.repeat(60_000) });
    for (const op of [
      { op: 'get', key: 'big/0' },
      { op: 'range', prefix: 'big/' },
    ]) {
      service.scans = 0;
      const ops = [...Array(300).fill(op), { op: 'put', key: 'small', value: '1' }];
      const answer = await call(url, 'POST', '/v1/batch', { body: { ops } });
      expect(answer.status).toBe(200);
      expect(answer.text.length).toBeLessThan(LIMITS.batchAnswerBytesMax * 1.01);
      const counts = countsOf(answer.json.results);
      const fitting = Math.floor(LIMITS.batchAnswerBytesMax / 770_000 / (char === 'v' ? 1 : 6));
      expect(counts['ok']).toBeGreaterThanOrEqual(fitting);
      expect(counts['ok'] as number).toBeLessThan(fitting + 5);
      expect(counts['too_large']).toBe(301 - (counts['ok'] as number));
      expect(answer.json.results[299]).toMatchObject({ code: 'too_large', definite: true });
      expect(answer.json.results[300]).toMatchObject({ key: 'small' });
      expect(service.scans).toBeLessThanOrEqual(counts['ok'] as number);
    }
    const seed = { ops: Array(300).fill({ op: 'get', key: 'big/0' }) };
    const answer = await call(url, 'POST', '/batch', { body: seed });
    expect(answer.text.length).toBeLessThan(LIMITS.batchAnswerBytesMax * 1.01);
    expect(answer.json.results[299]).toMatchObject({ ok: false, error: 'too_large' });
  });

  it('shares its memory with the other answers, until it is sent', async () => {
    const url = await start({ bounds: { answerBytesHeldMax: 100_000 } });
    await call(url, 'PUT', '/v1/kv/a', { body: 'v'.repeat(60_000) });
    const body = { ops: Array(2).fill({ op: 'get', key: 'a' }) };
    for (let round = 0; round < 3; round++) {
      const { results } = (await call(url, 'POST', '/v1/batch', { body })).json;
      expect(countsOf(results)).toEqual({ ok: 1, overloaded: 1 });
      expect(results[1].definite).toBe(true);
    }
  });

  it('comes by its deadline: all ranges share it', async () => {
    const service = new SlowScans();
    service.tookMs = 100;
    const url = await start({}, service);
    const started = performance.now();
    const answer = await call(url, 'POST', '/v1/batch', {
      body: { ops: Array(40).fill({ op: 'range', prefix: 'a' }) },
      headers: { 'x-minikv-timeout-ms': '250' },
    });
    expect(performance.now() - started).toBeLessThan(2_000);
    const { ok, deadline_exceeded: late } = countsOf(answer.json.results);
    expect(ok).toBeLessThanOrEqual(3);
    expect(late).toBeGreaterThanOrEqual(37);
  });
});
