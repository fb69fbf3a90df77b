import { apiSubject, helloSubject, nodeSubject } from '../protocol/subjects.ts';
import type { NodeId } from '../protocol/types.ts';

/** A user of the NATS servers: a node, by its name, or whoever else reads events and asks. */
export interface NatsUser {
  readonly name: string;
  readonly password: string;
}

const ANY_NODE = '*' as NodeId;
const INBOXES = '_INBOX.>';
/** Of all tenants, and where notifications of buckets go by default. */
const EVENTS = 'minikv.events.>';
const NOTIFICATIONS = 's3.>';

/**
 * A configuration of nats-server in which each node has a user of its own. A node hears what is meant for it and what is meant
 * for all; what others tell each other, and what clients may, it does not. Clients reach no subject of nodes.
 */
export function natsServerConfig(
  cluster: string,
  nodes: readonly NatsUser[],
  client: NatsUser,
): string {
  const lane = (id: NodeId) => nodeSubject(cluster, id, 'raft').replace(/raft$/, '*');
  const hello = helloSubject(cluster);
  const requests = apiSubject('>');
  const users = nodes.map((node) =>
    user(node, {
      publish: [lane(ANY_NODE), hello, EVENTS, NOTIFICATIONS, INBOXES],
      subscribe: [
        ...[lane(node.name as NodeId), hello, `minikv.${cluster}.absent.>`],
        ...[requests, INBOXES],
      ],
    }),
  );
  const asking = user(client, { publish: [requests], subscribe: [EVENTS, NOTIFICATIONS, INBOXES] });
  return [
    '# nats-server -c nats-server.conf. The passwords of nodes are in their minikv.toml, too; `client` is for everybody else.',
    'listen: "0.0.0.0:4222"',
    'max_payload: 1048576',
    'max_control_line: 8192',
    'max_pending: 67108864',
    'write_deadline: "5s"',
    'ping_interval: "10s"',
    'ping_max: 2',
    'authorization {',
    '  users: [',
    ...[...users, asking].map((line) => `    ${line}`),
    '  ]',
    '}',
    '',
  ].join('\n');
}

interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

function user({ name, password }: NatsUser, { publish, subscribe }: Permissions): string {
  const allowed = (subjects: readonly string[]) => `{ allow: ${JSON.stringify(subjects)} }`;
  const permissions = `{ publish: ${allowed(publish)}, subscribe: ${allowed(subscribe)} }`;
  return `{ user: ${JSON.stringify(name)}, password: ${JSON.stringify(password)}, permissions: ${permissions} }`;
}

/** With the user's credentials; null: it has some already. */
export function withUser(url: string, { name, password }: NatsUser): string | null {
  const [, scheme = 'nats://', rest = ''] = /^([a-z]+:\/\/)?(.*)$/.exec(url) ?? [];
  return rest.includes('@') ? null : `${scheme}${name}:${password}@${rest}`;
}
