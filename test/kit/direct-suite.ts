import { afterAll, beforeAll, beforeEach, expect, it, type MockInstance } from 'vitest';
import { type ModelServer, startModelServer } from './http-start.ts';
import { ModelService } from './model-service.ts';
import { type Ask, ask, type Shown } from './shown-answer.ts';

const WALL_MS = Date.UTC(2026, 10, 22);
/** A longer body is streamed, which is the framework's. */
const DIRECT_BYTES_MAX = 48 * 1024;

/** By name, in this order on both servers, so that their revisions are the same. */
export type Rows = Readonly<Record<string, readonly Ask[]>>;

export interface DirectSuite {
  /** Counts the requests that skip the framework. */
  readonly runs: MockInstance;
  readonly direct: Rows;
  /** Rows that no way but the framework's takes. */
  readonly left: Rows;
  /** Takes out where the two ways may differ. */
  readonly comparable?: (shown: Shown) => Shown;
}

/** Requests that skip the framework are answered with its bytes, and the others are left to it. */
export function directTests({ runs, direct, left, comparable = (shown) => shown }: DirectSuite) {
  const servers: ModelServer[] = [];
  beforeAll(async () => {
    for (let i = 0; i < 2; i++) {
      servers.push(await startModelServer({}, new ModelService({ wallMs: () => WALL_MS })));
    }
  });
  afterAll(() => Promise.all(servers.map(({ stop }) => stop())));
  beforeEach(() => void runs.mockClear());

  /** Once as it is and, on the other server, with an empty query, which only the framework reads. */
  async function expectSame({ failure, ...asked }: Ask): Promise<void> {
    const [plain, framework] = servers as [ModelServer, ModelServer];
    for (const { service } of servers) service.failure = failure ?? null;
    const shown = comparable(await ask(plain, asked));
    const before = runs.mock.calls.length;
    const wanted = comparable(await ask(framework, { ...asked, path: `${asked.path}?` }));
    expect(runs.mock.calls.length).toBe(before);
    const { method, path, body = '' } = asked;
    expect(shown, `${method} ${path} ${String(body).slice(0, 100)}`).toEqual(wanted);
  }

  for (const [name, asks] of Object.entries(direct)) {
    it(`is answered with the framework's bytes: ${name}`, async () => {
      const streamed = asks.filter(({ body }) => (body?.length ?? 0) > DIRECT_BYTES_MAX).length;
      for (const asked of asks) await expectSame(asked);
      expect(runs.mock.calls.length).toBe(asks.length - streamed);
    });
  }
  for (const [name, asks] of Object.entries(left)) {
    it(`is left to the framework where it is not plain: ${name}`, async () => {
      for (const asked of asks) await expectSame(asked);
      expect(runs).not.toHaveBeenCalled();
    });
  }
}
