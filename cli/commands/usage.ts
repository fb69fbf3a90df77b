import type { Usage } from '../../protocol/usage.ts';
import { type Context, printJson } from './context.ts';
import { sizeText } from './size-text.ts';
import { makeTable } from './status.ts';

/** What GET /admin/usage says of all, and of one space. */
type Counts = Omit<Usage, 'markers'> & { readonly deleteMarkers: number; readonly bytes: number };
type Item = Counts & { readonly tenant: string; readonly space: string };

interface Page {
  readonly total: Counts;
  readonly items: readonly Item[];
  readonly cursor?: string;
}

/** The space of keys; all others are buckets. */
const KEYS = 'kv';

/** `minikv usage`: what is stored, in all and in each bucket. With --json one line per space, the last one the total. */
export async function usage({ io, client, json }: Context): Promise<void> {
  const table = makeTable(
    ['bucket', 'objects', 'other versions', 'delete markers', 'uploads', 'bytes'],
    io.outIsTerminal,
  );
  let cursor: string | undefined;
  let total: Counts;
  do {
    const query = cursor === undefined ? '' : `?cursor=${encodeURIComponent(cursor)}`;
    const path = `/admin/usage${query}`;
    const page = await client.json<Page>({ method: 'GET', path, repeatable: true });
    for (const item of page.items) {
      if (json) await printJson(io, item);
      else if (item.space !== KEYS) table.push([bucketName(item), ...cells(item)]);
    }
    ({ total, cursor } = page);
  } while (cursor !== undefined);
  if (json) {
    await printJson(io, { total });
    return;
  }
  table.push(['(all)', ...cells(total)]);
  const keys = `${total.keys} keys, ${sizeText(total.keyBytes)} with their values`;
  await io.out(`${keys}\n${table.toString()}\n`);
}

function bucketName({ tenant, space }: Item): string {
  return tenant === 'default' ? space : `${tenant}/${space}`;
}

function cells({ objects, versions, deleteMarkers, uploads, bytes }: Counts): (string | number)[] {
  return [objects, versions, deleteMarkers, uploads, sizeText(bytes)];
}
