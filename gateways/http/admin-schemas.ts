import { Type } from 'typebox';

/** The schemas of what a node says of itself. */
export const Root = Type.Object({
  name: Type.String(),
  version: Type.String(),
  cluster: Type.String(),
  nodeId: Type.String(),
  links: Type.Record(Type.String(), Type.String()),
});

export const Health = Type.Object({
  status: Type.Union(
    ['live', 'ready', 'degraded', 'starting', 'draining'].map((name) => Type.Literal(name)),
  ),
  nodeId: Type.Optional(Type.String()),
  version: Type.Optional(Type.String()),
  durability: Type.Optional(Type.String()),
  bus: Type.Optional(Type.String()),
  disk: Type.Optional(Type.String()),
  uptimeMs: Type.Optional(Type.Integer()),
});

export const Limits = Type.Record(Type.String(), Type.Integer());

export const StateHashes = Type.Object({
  nodeId: Type.String(),
  replicas: Type.Array(
    Type.Object({
      group: Type.Integer(),
      replica: Type.String(),
      appliedIndex: Type.Integer(),
      hash: Type.String({ description: '16 hex digits.' }),
    }),
  ),
});

const count = (description: string) => Type.Integer({ description });

export const ChunkCounts = Type.Object({
  nodeId: Type.String(),
  verified: count('Chunks that were read and are well.'),
  verifiedBytes: count('Their bytes.'),
  damaged: count('Chunks whose checksums do not match.'),
  foreign: count('Files among them that are no chunks.'),
  chunks: count('Chunks that this node is to have.'),
  missing: count('Of them, those that were not here.'),
  mended: count('Damaged or missing ones that were brought from another node.'),
  lost: count('Those that no other node gives.'),
});

export const SweepCounts = Type.Object({
  nodeId: Type.String(),
  named: count('Chunks of objects, or of their past.'),
  young: count('Chunks that something may still name.'),
  unseen: count('Chunks of which not all groups could be asked.'),
  unneeded: count('Chunks that nothing needs.'),
  removed: count('Of them, those that are gone now.'),
  removedBytes: count('Their bytes on disk.'),
});

const NotificationBacklog = Type.Object({
  target: Type.String({ description: 'webhook:NAME or nats:SUBJECT.' }),
  waiting: count('Those that the target has not taken yet.'),
  waiting_bytes: count('Their bytes.'),
  sent: count('All that it ever took.'),
  dropped: count('All that were ever dropped: there was no room, or they waited for a day.'),
});
/** Null: some group has no leader, and this node no replica of it. */
const orUnknown = (description: string) =>
  Type.Union([Type.Integer(), Type.Null()], { description });

export const Status = Type.Object(
  {
    role: Type.Union([Type.Literal('leader'), Type.Literal('follower'), Type.Literal('gateway')]),
    is_leader: Type.Boolean(),
    nb_peers: Type.Integer(),
    nb_volumes: Type.Integer({ description: 'Virtual shards this node holds a copy of.' }),
    volume_ids: Type.Array(Type.Integer()),
    nb_s3_objects: orUnknown('Current versions of objects, of the whole store.'),
    s3_bytes: orUnknown('Bytes of objects: of all versions, and of parts of unfinished uploads.'),
    nb_keys: orUnknown('Keys, of the whole store.'),
    key_bytes: orUnknown('Bytes of their names and values.'),
    node_id: Type.String(),
    cluster: Type.String(),
    cluster_id: Type.String(),
    version: Type.String(),
    ready: Type.Boolean(),
    durability: Type.String(),
    bus: Type.String(),
    disk: Type.String(),
    map_epoch: Type.Integer(),
    copies: Type.String({
      description:
        'whole: every voter has every chunk of objects; restoring, lost, unknown: lose no other disk now.',
    }),
    uptime_ms: Type.Integer(),
    clock: Type.Integer(),
    leads: Type.Array(Type.Integer()),
    notifications: Type.Array(NotificationBacklog, {
      description:
        'Notifications of buckets by target, of the groups that this node leads, as of some seconds ago; the largest backlogs first.',
    }),
  },
  { additionalProperties: true },
);
