import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { createHttpServer } from '../../../../gateways/http/server.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import type { Clock } from '../../../../protocol/clock.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';

/** Unlike any other delay. */
const WINDOW_MS = 203;

/** The real clock, and the timers of bodies that are being read. */
function bodyTimers(): { clock: Clock; running: Set<object> } {
  const running = new Set<object>();
  const after: Clock['after'] = (delayMs, run) => {
    if (delayMs !== WINDOW_MS) return REAL_CLOCK.after(delayMs, run);
    const timer = {};
    running.add(timer);
    const cancel = REAL_CLOCK.after(delayMs, () => {
      running.delete(timer);
      run();
    });
    return () => {
      running.delete(timer);
      cancel();
    };
  };
  return { clock: { ...REAL_CLOCK, after }, running };
}

it('I32 nothing is left of requests whose clients go away in the middle of a body', async () => {
  const { clock, running } = bodyTimers();
  const server = await createHttpServer({
    ...{ service: new ModelService(), telemetry: NO_TELEMETRY, clock, random: seededRandom(1) },
    ...{ version: '0.1.0', stateHashes: async () => [], metricsText: async () => '' },
    config: {
      ...{ host: '127.0.0.1', port: 0, allowUnsigned: true },
      bounds: { bodyWindowMs: WINDOW_MS },
    },
  });
  const { port } = new URL((await server.listen()).url);
  const heads = ['PUT /v1/kv/k', 'POST /v1/batch', 'PUT /k'];
  let begun = 0;
  for (let i = 0; i < 90; i++) {
    const socket = connect(Number(port), '127.0.0.1');
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    const type = 'content-type: application/json\r\n';
    socket.write(`${heads[i % 3]} HTTP/1.1\r\nhost: x\r\n${type}content-length: 100\r\n\r\n{"half`);
    // Some go at once, some when the body is being read.
    if (i % 2 === 0) await new Promise((resolve) => setTimeout(resolve, i % 7));
    begun = Math.max(begun, running.size);
    socket.destroy();
  }
  await expect.poll(() => running.size, { timeout: 3_000 }).toBe(0);
  expect(begun).toBeGreaterThan(0);
  await server.close();
});
