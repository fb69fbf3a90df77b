import { afterAll, beforeAll, expect, it } from 'vitest';
import { packBytes } from '../../../../protocol/codec.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { call } from '../../../kit/raw-http.ts';

let guarded: Awaited<ReturnType<typeof startGuardedServer>>;
beforeAll(async () => {
  guarded = await startGuardedServer();
});
afterAll(() => guarded.stop());

// npm run fuzz -- --only 'REST with --auth' --seed 25572: a body that is null was a 500.
it('what is no object, or nothing, is refused wherever a document is wanted', async () => {
  const { json } = await call(guarded.url, 'GET', '/openapi.json');
  let count = 0;
  for (const [path, methods] of Object.entries(json.paths as Record<string, object>)) {
    for (const [method, operation] of Object.entries(methods)) {
      const content = operation.requestBody?.content ?? {};
      if (content['application/json']?.schema?.type !== 'object') continue;
      const target = path.replace(/\{\w+\}/g, 'x');
      for (const body of [null, [], 1, 'text', true, undefined]) {
        const isNothing = body === undefined;
        const headers = { authorization: `Bearer ${guarded.admin}` };
        const typed = (type: string) =>
          isNothing ? headers : { ...headers, 'content-type': type };
        const answers = [
          await call(guarded.url, method.toUpperCase(), target, {
            headers: typed('application/json'),
            ...(isNothing ? {} : { body: JSON.stringify(body) }),
          }),
          await call(guarded.url, method.toUpperCase(), target, {
            headers: typed('application/msgpack'),
            ...(isNothing ? {} : { body: packBytes(body) }),
          }),
        ];
        for (const { status } of answers) {
          const where = `${method} ${path} ${JSON.stringify(body)}`;
          expect([200, 201, 400, 404, 411, 415, 422, 501], where).toContain(status);
          count++;
        }
      }
    }
  }
  expect(count).toBeGreaterThan(100);
});
