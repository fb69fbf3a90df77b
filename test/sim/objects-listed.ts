import { isDeepStrictEqual } from 'node:util';
import type { ListedPrefix, ListedVersion, VersionPosition } from '../../protocol/object-access.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { idOf } from '../check/object-model.ts';
import { RULED } from './lifecycle-truth.ts';
import { PLAIN, VERSIONED } from './object-client.ts';
import { SimViolation } from './violation.ts';
import type { World } from './world.ts';

const LIMIT = 7;

/** After the heal: every version and marker is listed, through all nodes in turn, as the logs made them. */
export async function objectsListed(world: World): Promise<void> {
  for (const bucket of [PLAIN, VERSIONED, ...RULED]) {
    const wanted = world.model.objects
      .versions(world.groups(), bucket)
      .map(({ key, version }) => ({ key, versionId: idOf(version), isMarker: version.isMarker }));
    const listed: unknown[] = [];
    let at: VersionPosition | null = { key: '', below: 0 };
    for (let page = 0; at !== null; page++) {
      const { entries, next } = await pageFrom(world, page, bucket, at);
      for (const one of entries) {
        if (one.type === 'prefix') continue;
        const { key, versionId, isMarker } = one;
        listed.push({ key, versionId, isMarker });
      }
      at = next;
    }
    if (isDeepStrictEqual(listed, wanted)) continue;
    const shown = `${bucket} lists ${JSON.stringify(listed)}, the logs have ${JSON.stringify(wanted)}`;
    throw new SimViolation('versions are listed as they are', shown);
  }
}

interface VersionsPage {
  readonly entries: readonly (ListedVersion | ListedPrefix)[];
  readonly next: VersionPosition | null;
}

/** After the heal a request may still meet an election. */
async function pageFrom(
  world: World,
  page: number,
  space: string,
  { key: start, below }: VersionPosition,
): Promise<VersionsPage> {
  const query = { tenant: DEFAULT_TENANT, space, prefix: '', delimiter: null, start, below };
  const ctx = { deadlineMs: 5_000, traceparent: null, idempotency: null };
  for (let attempt = 0; ; attempt++) {
    const node = (page + attempt) % world.nodeCount;
    try {
      const connection = await world.connect(node);
      return await connection.call(6_000, (_, objects) =>
        objects.listVersions(ctx, { ...query, limit: LIMIT }),
      );
    } catch (error) {
      if (attempt > 20) throw error;
      await world.sleep(100);
    }
  }
}
