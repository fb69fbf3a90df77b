import type { TLSSocket } from 'node:tls';
import { Agent, buildConnector, getGlobalDispatcher, setGlobalDispatcher } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { requestTests } from '../../../kit/http-suite.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';
import { HandTls, TestAuthority } from '../../../kit/test-tls.ts';

/** The suite of the HTTP surface, over HTTP/2. */

let server: ModelServer;
const before = getGlobalDispatcher();
/** What ALPN chose. */
const spoken = new Set<unknown>();

beforeAll(async () => {
  const authority = await TestAuthority.make();
  const tls = new HandTls(await authority.server());
  server = await startModelServer({}, new ModelService(), recordingTelemetry(), { tls });
  const connector = buildConnector({ ca: authority.cert, allowH2: true });
  const connect: buildConnector.connector = (options, done) =>
    connector(options, (...[error, socket]) => {
      if (error !== null) return done(error, null);
      spoken.add((socket as TLSSocket).alpnProtocol);
      done(null, socket);
    });
  setGlobalDispatcher(new Agent({ allowH2: true, connect }));
});
afterAll(async () => {
  await getGlobalDispatcher().close();
  setGlobalDispatcher(before);
  await server.stop();
});

requestTests(() => server.url);

it('all of it was HTTP/2', () => {
  expect([...spoken]).toEqual(['h2']);
});
