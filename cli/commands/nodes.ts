import { UsageError } from '../failures.ts';
import type { Context } from './context.ts';
import { fetchStatus } from './status.ts';

export interface NamedNode {
  readonly nodeId: string;
  readonly url: string;
}

/** All nodes, or those of `wanted`, names with commas between. Throws UsageError for one that there is not. */
export async function nodesNamed(
  context: Pick<Context, 'client'>,
  wanted: string | undefined,
): Promise<NamedNode[]> {
  const { nodes } = await fetchStatus(context);
  const known = nodes.map(({ nodeId, httpUrl }) => ({ nodeId, url: httpUrl }));
  if (wanted === undefined) return known;
  return wanted.split(',').map((name) => {
    const found = known.find(({ nodeId }) => nodeId === name);
    if (found !== undefined) return found;
    const names = known.map(({ nodeId }) => nodeId).join(', ');
    throw new UsageError(`there is no node ${name}; there are ${names}`);
  });
}
