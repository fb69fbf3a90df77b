import { describe, expect, it } from 'vitest';
import { API_REQUESTS_MAX, serveNatsApi } from '../../../../gateways/nats-api/gateway.ts';
import type { ClientRequest } from '../../../../gateways/peer/request-server.ts';
import { utf8 } from '../../../../protocol/bytes.ts';
import type { RequestContext } from '../../../../protocol/service.ts';
import { HandClock } from '../../../kit/hand-clock.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';

const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };

/** The gateway with its bus in the test's hands. */
function served() {
  const service = new ModelService();
  const statuses: string[] = [];
  let handle: (request: ClientRequest) => void = () => {};
  const server = {
    payloadBytesMax: 1 << 20,
    serveRequests: (_: string, __: string, serve: typeof handle) => {
      handle = serve;
    },
  };
  serveNatsApi({
    ...{ server, clock: new HandClock(), telemetry: recordingTelemetry() },
    ...{ durability: 'memory', requestId: () => 'r' },
    admission: {
      admit: async () => ({ store: service, guard: null, meters: null }),
      answered: () => {},
    },
  });
  const ask = (op: string, body: object) =>
    handle({
      subject: `minikv.api.${op}`,
      reply: '_INBOX.x',
      header: () => null,
      payload: utf8(JSON.stringify(body)),
      respond: (_, headers) => statuses.push(headers['Minikv-Status'] ?? '') > 0,
    });
  const settle = () => new Promise((resolve) => setTimeout(resolve, 100));
  return { service, statuses, ask, settle };
}

describe('requests over NATS that wait for a lock', () => {
  it('leave room for others, and are refused when too many wait', async () => {
    const { service, statuses, ask, settle } = served();
    const grant = async () => (await service.leases.grant(CTX, 60_000)).lease.lease;
    ask('lockAcquire', { name: 'x', lease: await grant() });
    await settle();
    expect(statuses.splice(0)).toEqual(['200']);
    const other = await grant();
    for (let i = 0; i < API_REQUESTS_MAX; i++) {
      ask('lockAcquire', { name: 'x', lease: other, waitMs: 60_000 });
    }
    await settle();
    expect(new Set(statuses)).toEqual(new Set(['503']));
    expect(statuses.splice(0)).toHaveLength(API_REQUESTS_MAX / 2);
    ask('status', {});
    ask('put', { key: 'k', value: 'v' });
    await settle();
    expect(statuses).toEqual(['200', '200']);
  });
});
