import type { NodeConfig } from '../../protocol/config.ts';
import type { Message } from '../../protocol/envelope.ts';
import type { Formation } from '../../protocol/messages/node.ts';
import type { Lane } from '../../protocol/subjects.ts';
import type { GroupId, NodeId, ReplicaId } from '../../protocol/types.ts';
import type { BackgroundPace } from '../kit/pace.ts';
import type { Ports } from '../kit/ports.ts';
import type { GroupReach } from '../txn/coordinator.ts';
import type { Replica } from './replica.ts';

/** What a replica needs of its node. */
export interface ReplicaHost {
  readonly config: NodeConfig;
  readonly ports: Ports;
  readonly formation: Formation;
  readonly pace: BackgroundPace;
  post(group: GroupId, to: ReplicaId, lane: Lane, message: Message, bytes: number): void;
  clockTrusted(): boolean;
  /** How transactions reach other groups; null while the node is being put together. */
  reach(): GroupReach | null;
  wake(replica: Replica): void;
  hear(replica: Replica): void;
  /** Another leader of the group is known. */
  onLeader(group: GroupId, leader: NodeId): void;
  /** An invariant broke: the replica answers nothing any more. */
  onBroken(replica: Replica, error: unknown): void;
}
