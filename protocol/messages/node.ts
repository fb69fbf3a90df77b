import { DEMAND_AMOUNTS, DEMANDS_MAX, SCOPE_CHARS_MAX } from '../demand.ts';
import * as s from '../schema.ts';
import type { NodeId } from '../types.ts';

/** Messages between nodes as such, group 0 in the envelope: finding each other and forming. */

/** One founding member and the incarnation its data folder had when the cluster was formed. */
const member = s.record({ nodeId: s.str<NodeId>(32), incarnation: s.str(16) });

/** What all founders agree on; written to each data folder before anything else happens. */
export const formationCodec = s.record({
  clusterId: s.str(32),
  members: s.list(member, 32),
  groupCount: s.count,
});
export type Formation = s.Of<typeof formationCodec>;

/** What a replica says of the chunks of objects that its group names, as of its own disk. */
export const chunksHeldCodec = s.record({
  group: s.count,
  /** Of the configuration it knows of: its index, its voters, and whether it is joint. */
  configIndex: s.count,
  voters: s.count,
  isJoint: s.bool,
  isVoter: s.bool,
  /** It has every chunk of data that entries up to this one named and that has a name; null: not so, or not known. */
  heldTo: s.nullable(s.count),
  /** So far, in the round that runs or was the last one: chunks that belong here, are not here, and nobody gives. */
  chunks: s.count,
  missing: s.count,
  lost: s.count,
});
export type ChunksHeld = s.Of<typeof chunksHeldCodec>;

const demandCodec = s.record({
  scope: s.str(SCOPE_CHARS_MAX),
  amounts: s.list(s.count, DEMAND_AMOUNTS),
});

export const nodeMessages = {
  /** "I am here." Repeated until formed, then on start. `clusterId` '' while the folder is empty. */
  Hello: [
    64,
    s.record({
      incarnation: s.str(16),
      clusterId: s.str(32),
      initialMembers: s.list(s.str<NodeId>(32), 32),
      groupCount: s.count,
      roles: s.list(s.oneOf('replica', 'gateway'), 2),
      /** Where people reach this node, for status pages. */
      httpUrl: s.str(256),
      version: s.str(32),
      /** Whether this node's disk is fit to lead with. */
      disk: s.oneOf('ok', 'full', 'read-only', 'no-handles', 'slow', 'stalled'),
      /** Of each replica here; null: nothing is said. */
      chunks: s.nullable(s.list(chunksHeldCodec, 65)),
    }),
  ],
  /** The founder's decision, or an existing cluster's answer to an empty node's Hello. */
  Form: [65, s.record({ formation: formationCodec })],
  /** What this node sees of those who have a limit in the cluster (protocol/demand.ts). */
  Demands: [66, s.record({ sequence: s.count, demands: s.list(demandCodec, DEMANDS_MAX) })],
} as const;
