import type { Item } from '../../protocol/messages/request.ts';
import type { KvService } from '../../protocol/service.ts';

/**
 * The HTTP edge over a service that answers at once from a Map, with real telemetry: what requests cost
 * before and after the store. `edge-server.ts <port> <folder of a build>`: built, as it is served, since
 * tsx makes code a fifth slower.
 */
const [port, build] = process.argv.slice(2);
const load = (path: string) => import(`file://${build}/${path}.js`);

const rows = new Map<string, Item>();
let clock = Date.UTC(2027, 0) * 4096;

const service: Partial<KvService> = {
  async put(_ctx, { ref, value, contentType }) {
    const prev = rows.get(ref.key);
    const revision = ++clock;
    const { createRevision = revision, version = 0 } = prev ?? {};
    const item = { ref, value, revision, createRevision, version: version + 1 };
    rows.set(ref.key, { ...item, contentType, expiresAtMs: null });
    const result = { type: 'put', revision, createRevision, version: version + 1 } as const;
    return { result, clock, repeated: false };
  },
  get: async (_ctx, ref) => ({ item: rows.get(ref.key) ?? null, clock }),
  getNow: (_ctx, ref) => ({ item: rows.get(ref.key) ?? null, clock }),
  async batch(ctx, ops) {
    const results = [];
    for (const op of ops) {
      if (op.kind === 'get') {
        results.push({ kind: 'get' as const, item: rows.get(op.ref.key) ?? null });
      } else if (op.op.type === 'put') {
        const { result } = await this.put!(ctx, op.op);
        results.push({ kind: 'write' as const, result });
      }
    }
    return { results, clock };
  },
  status: () => ({ durability: 'memory', clock }) as ReturnType<KvService['status']>,
};

const [{ createHttpServer }, { startTelemetry }, { systemClock }, { systemRandom }] =
  await Promise.all([
    load('gateways/http/server'),
    load('observability/telemetry'),
    load('cli/system-clock'),
    load('cli/system-random'),
  ]);
const time = systemClock();
const log = { level: 'error', format: 'json', write: (line: string) => console.error(line) };
const node = { nodeId: 'n1', cluster: 'edge', version: '0' };
const telemetry = startTelemetry({ ...node, otlp: null, clock: time, log });
const config = { host: '127.0.0.1', port: Number(port), allowUnsigned: true };
const ports = { telemetry, clock: time, random: systemRandom(), version: '0' };
const server = await createHttpServer({ service, ...ports, config });
await server.listen();
