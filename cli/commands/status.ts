import Table from 'cli-table3';
import type { CopiesState } from '../../protocol/chunk-care.ts';
import type { GroupStatus, NodeStatus } from '../../protocol/service.ts';
import { nodeOf } from '../../protocol/types.ts';
import { CommandFailed } from '../failures.ts';
import { type Context, printJson } from './context.ts';

/** The door to cli-table3. */

/** What the commands read of GET /admin/status. */
export interface ClusterStatus {
  readonly node_id: string;
  readonly cluster: string;
  readonly cluster_id: string;
  readonly version: string;
  readonly ready: boolean;
  readonly durability: string;
  readonly bus: string;
  /** An older node does not tell. */
  readonly copies?: CopiesState;
  readonly uptime_ms: number;
  readonly groups: readonly GroupStatus[];
  readonly nodes: NodeStatus['nodes'];
  /** An older node does not tell. */
  readonly notifications?: readonly {
    readonly target: string;
    readonly waiting: number;
    readonly waiting_bytes: number;
    readonly sent: number;
    readonly dropped: number;
  }[];
}

/** What one node says of itself and of the cluster as it sees it. */
export async function fetchStatus({ client }: Pick<Context, 'client'>): Promise<ClusterStatus> {
  const path = '/admin/status';
  const status = await client.json<ClusterStatus>({ method: 'GET', path, repeatable: true });
  if (!Array.isArray(status.groups) || !Array.isArray(status.nodes)) {
    throw new CommandFailed(`${client.endpoint} does not answer as a minikv node`);
  }
  return status;
}

/** `minikv status`: nodes, groups and leaders. */
export async function status(context: Context): Promise<void> {
  const found = await fetchStatus(context);
  if (context.json) await printJson(context.io, found);
  else await context.io.out(statusText(found, context.io.outIsTerminal));
}

/** `minikv members`: who votes in which group. */
export async function members(context: Context): Promise<void> {
  const { io, json } = context;
  const found = await fetchStatus(context);
  const rows = found.groups.map(({ group, leader, local }) => ({
    group,
    leader,
    voters: local?.config.voters ?? [],
    learners: local?.config.learners ?? [],
  }));
  if (json) {
    await printJson(io, { members: rows });
    return;
  }
  const table = makeTable(['group', 'leader', 'voters', 'learners'], io.outIsTerminal);
  for (const row of rows) {
    table.push([
      groupName(row.group),
      row.leader ?? 'none',
      row.voters.join(' '),
      row.learners.join(' '),
    ]);
  }
  await io.out(`${table.toString()}\n`);
}

export function statusText(found: ClusterStatus, color: boolean): string {
  const head = `cluster ${found.cluster} (${found.cluster_id || 'not formed yet'}), seen from ${found.node_id}, minikv ${found.version}
durability ${found.durability}, bus ${found.bus}, up ${duration(found.uptime_ms)}, ${found.ready ? 'ready' : 'NOT READY'}
${COPIES_TEXT[found.copies ?? 'unknown']}
`;
  const nodes = makeTable(['node', 'URL', 'roles', 'leads', 'last seen'], color);
  for (const { nodeId, httpUrl, roles, seenMsAgo } of found.nodes) {
    const leads = found.groups
      .filter((group) => group.leader === nodeId)
      .map((g) => groupName(g.group));
    const seen =
      nodeId === found.node_id
        ? 'here'
        : seenMsAgo === null
          ? 'never'
          : `${duration(seenMsAgo)} ago`;
    nodes.push([nodeId, httpUrl, roles.join(' '), leads.join(' '), seen]);
  }
  return `${head}${nodes.toString()}\n${groupsText(found, color)}${notificationsText(found, color)}`;
}

/** Nothing where nobody was ever told of anything by groups that this node leads. */
function notificationsText({ notifications = [] }: ClusterStatus, color: boolean): string {
  if (notifications.length === 0) return '';
  const table = makeTable(['notified from here', 'waiting', 'sent', 'dropped'], color);
  for (const { target, waiting, sent, dropped } of notifications) {
    table.push([target, waiting, sent, dropped]);
  }
  return `${table.toString()}\n`;
}

/** What an operator may do next. */
export const COPIES_TEXT: Readonly<Record<CopiesState, string>> = {
  whole: 'every copy of all objects is there: one disk may be lost',
  restoring: 'copies are being made: LOSE NO OTHER DISK now',
  lost: 'CHUNKS OF OBJECTS ARE LOST: the logs of the nodes name them; lose no other disk now',
  unknown: 'not all voters are heard: LOSE NO OTHER DISK now',
};

/** `whole`, or how far it is. */
function copiesText({ copies }: Partial<GroupStatus>): string {
  if (copies === undefined) return '-';
  const { state, chunks, missing, lost, waitingFor } = copies;
  if (state === 'whole' || state === 'unknown') return state;
  const gone = lost > 0 ? `, ${lost} lost` : '';
  return `${state}: ${missing} of ${chunks} missing${gone} (${waitingFor.map(nodeOf).join(' ')})`;
}

function groupsText(found: ClusterStatus, color: boolean): string {
  const groups = makeTable(
    ['group', 'leader', 'here', 'term', 'committed', 'applied', 'keys', 'shards', 'copies'],
    color,
  );
  for (const one of found.groups) {
    const { group, leader, local, vshardCount } = one;
    const here =
      local === null
        ? ['-', '-', '-', '-', '-']
        : [local.role, local.term, local.commitIndex, local.appliedIndex, local.keys];
    groups.push([groupName(group), leader ?? 'none', ...here, vshardCount, copiesText(one)]);
  }
  return `${groups.toString()}\n`;
}

export function makeTable(head: string[], color: boolean): Table.Table {
  return new Table({ head, style: color ? { head: ['cyan'] } : { head: [], border: [] } });
}

export function groupName(group: number): string {
  return group === 0 ? 'meta' : String(group);
}

/** `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`. */
function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} d`;
}
