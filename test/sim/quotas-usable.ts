import { AppError } from '../../protocol/errors.ts';
import type { Quotas } from '../../protocol/quotas.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import { QUOTA, QUOTA_SCOPE } from './quota-client.ts';
import { SimViolation } from './violation.ts';
import type { World } from './world.ts';

const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
interface Edges {
  readonly service: KvService;
  readonly quotas: Quotas;
}

const NAME = 'a quota can be used to its end';

/** Nobody else writes: all that is left goes into one key, and after that nothing more, through whichever node. */
export async function quotasUsable(world: World): Promise<void> {
  const ask = async <T>(use: (edges: Edges) => Promise<T>, at: number): Promise<T> => {
    const node = world.nodes[at % world.nodes.length]!;
    for (let attempt = 0; ; attempt++) {
      try {
        return await node.connect().call(8_000, (service, _, quotas) => use({ service, quotas }));
      } catch (error) {
        const isFinal = error instanceof AppError && error.code === 'quota_exceeded';
        if (isFinal || attempt === 40) throw error;
        await world.sleep(100);
      }
    }
  };
  const look = () => ask(({ quotas }) => quotas.set(CTX, QUOTA_SCOPE, QUOTA), 0);
  let shown = await look();
  for (let i = 0; i < 100 && shown.state !== 'enforced'; i++) {
    await world.sleep(100);
    shown = await look();
  }
  // Keys whose time was over may still go.
  await world.sleep(1_000);
  for (let i = 0; i < 24; i++) await remove(`q/${i}`);
  let drawn = 0;
  const unique = (bytes: number) =>
    Buffer.from(`end${drawn++}:`.padEnd(bytes, 'x').slice(0, bytes));
  const put = (name: string, bytes: number, at: number) =>
    ask(
      ({ service }) =>
        service.put(CTX, {
          ...{ type: 'put', ref: ref(name), value: unique(bytes) },
          ...{ contentType: null, ttlMs: null, condition: null },
        }),
      at,
    );
  for (let i = 0; i < 3; i++) await put(`q/end${i}`, 100 + i, i);
  const used = (await ask(({ quotas }) => quotas.get(CTX, QUOTA_SCOPE), 1)).usage;
  const left = (QUOTA.bytes as number) - (used?.bytes ?? 0);
  if (used === null || used.keys !== 3 || left < 20) {
    throw new SimViolation(NAME, `${JSON.stringify(used)} is used after three puts`);
  }
  const result = await put('q/last', left - 'q/last'.length, 2).catch((error: unknown) => error);
  if (result instanceof Error) throw new SimViolation(NAME, `the last ${left} bytes: ${result}`);
  const more = await put('q/more', 0, 3).catch((error: unknown) => error);
  const isRefused = more instanceof AppError && more.code === 'quota_exceeded';
  if (!isRefused) throw new SimViolation(NAME, `one byte more was answered with ${String(more)}`);

  async function remove(name: string): Promise<void> {
    await ask(({ service }) => service.delete(CTX, ref(name), null), name.length);
  }
}

function ref(key: string) {
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
}
