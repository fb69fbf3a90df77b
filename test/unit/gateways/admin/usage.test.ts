import { afterEach, describe, expect, test } from 'vitest';
import { AppError } from '../../../../protocol/errors.ts';
import {
  addUsage,
  NO_USAGE,
  type SpaceUsage,
  type Usage,
  type UsageReads,
} from '../../../../protocol/usage.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';

let running: ModelServer | null = null;

afterEach(async () => {
  await running?.stop();
  running = null;
});

const SPACES: readonly SpaceUsage[] = [
  { tenant: 'default', space: 'a-bucket', usage: { ...NO_USAGE, objects: 2, objectBytes: 7 } },
  {
    ...{ tenant: 'default', space: 'b-bucket' },
    usage: { ...NO_USAGE, versions: 1, versionBytes: 3, markers: 1, uploads: 1, partBytes: 5 },
  },
  { tenant: 'default', space: 'kv', usage: { ...NO_USAGE, keys: 4, keyBytes: 40 } },
];
const ALL = SPACES.reduce((sum, { usage }) => addUsage(sum, usage), NO_USAGE);

/** Usage of SPACES; `leaders` false: no group can be asked. */
function reads(leaders = true, here: Usage | null = null): UsageReads {
  const refuse = (): void => {
    if (!leaders) throw new AppError('unavailable', 'a group has no leader');
  };
  return {
    whole: async () => {
      refuse();
      return ALL;
    },
    page: async (_ctx, after, limit) => {
      refuse();
      const from = after === null ? 0 : SPACES.findIndex(({ space }) => space === after.space) + 1;
      return { items: SPACES.slice(from, from + limit), more: from + limit < SPACES.length };
    },
    here: () => here,
  };
}

async function ask(path: string, usage?: () => UsageReads) {
  running = await startModelServer({}, undefined, undefined, usage === undefined ? {} : { usage });
  const answer = await fetch(`${running.url}${path}`);
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
}

describe('GET /admin/usage', () => {
  test('tells every space page by page, and the whole on each', async () => {
    running = await startModelServer({}, undefined, undefined, { usage: () => reads() });
    const seen: unknown[] = [];
    for (let cursor = ''; ; ) {
      const answer = await fetch(`${running.url}/admin/usage?limit=2${cursor}`);
      const page = (await answer.json()) as { total: object; items: object[]; cursor?: string };
      const { total, items, cursor: next } = page;
      expect(total).toMatchObject({ keys: 4, objects: 2, deleteMarkers: 1, bytes: 15 });
      seen.push(...items);
      if (next === undefined) break;
      cursor = `&cursor=${next}`;
    }
    expect(seen).toEqual([
      expect.objectContaining({ tenant: 'default', space: 'a-bucket', objects: 2, bytes: 7 }),
      expect.objectContaining({ space: 'b-bucket', versions: 1, deleteMarkers: 1, bytes: 8 }),
      expect.objectContaining({ space: 'kv', keys: 4, keyBytes: 40, bytes: 0 }),
    ]);
  });

  test('refuses cursors and limits that are none', async () => {
    for (const query of ['cursor=x', 'limit=0', 'limit=1001', 'other=1']) {
      const { status, json } = await ask(`/admin/usage?${query}`, () => reads());
      expect([query, status, json['code']]).toEqual([query, 400, 'invalid_argument']);
      await running?.stop();
    }
  });

  test('is unavailable while a group has no leader, and 501 where nobody counts', async () => {
    expect((await ask('/admin/usage', () => reads(false))).status).toBe(503);
    await running?.stop();
    expect((await ask('/admin/usage')).status).toBe(501);
  });
});

describe('GET /admin/status', () => {
  test('sums it up', async () => {
    const { json } = await ask('/admin/status', () => reads());
    expect(json).toMatchObject({ nb_s3_objects: 2, s3_bytes: 15, nb_keys: 4, key_bytes: 40 });
  });

  test('says what this node has applied while leaders cannot be asked, and null where it cannot tell', async () => {
    const applied = { ...NO_USAGE, objects: 1 };
    const here = await ask('/admin/status', () => reads(false, applied));
    expect(here.json).toMatchObject({ nb_s3_objects: 1, s3_bytes: 0 });
    await running?.stop();
    const nowhere = await ask('/admin/status', () => reads(false));
    expect(nowhere.json).toMatchObject({ nb_s3_objects: null, s3_bytes: null, nb_keys: null });
    await running?.stop();
    const starting = await ask('/admin/status', () => {
      throw new AppError('unavailable', 'the node is still starting');
    });
    expect([starting.status, starting.json['nb_s3_objects']]).toEqual([200, null]);
  });
});
