import { describe, expect, it } from 'vitest';
import type { ReplicaInspection } from '../../../actors/node-port.ts';
import { encodeEnvelope } from '../../../protocol/envelope.ts';
import type { GroupId, NodeId, ReplicaId } from '../../../protocol/types.ts';
import { MemoryCluster } from '../../kit/memory-cluster.ts';

const N1 = 'n1' as NodeId;
const VOTE = {
  type: 'RequestVote' as const,
  ...{ lastLogIndex: 1e9, lastLogTerm: 1e6, transfer: true, nonce: 1 },
};

async function three() {
  const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 2 });
  await cluster.start();
  const replicaOf = (name: string): ReplicaInspection =>
    cluster
      .node(name)
      .inspect()
      .find(({ group }) => group === 1) as ReplicaInspection;
  const { clusterId } = cluster.node('n1').service.status();
  const bus = cluster.strangersBus();
  /** Asks n1 for its vote in a term that is far ahead. */
  const campaign = async (more: {
    clusterId?: string;
    from?: string;
    to?: string;
    term: number;
  }) => {
    const { term, clusterId: of = clusterId, from = replicaOf('n2').replica, to } = more;
    const target = (to ?? replicaOf('n1').replica) as ReplicaId;
    const routed = { group: 1 as GroupId, to: target, message: { ...VOTE, term } };
    const payload = encodeEnvelope({
      ...{ clusterId: of, from: from as ReplicaId, to: N1, life: 1, messages: [routed] },
      wallMs: cluster.time.process().clock.wallMs(),
    });
    expect(bus.send(N1, 'raft', payload)).toBe(true);
    await cluster.time.pass(20);
    return replicaOf('n1').currentTerm;
  };
  return { cluster, replicaOf, campaign };
}

describe('a node hears, without a cluster secret,', () => {
  it('nobody of another cluster, nobody who means another incarnation of it, and members', async () => {
    const { replicaOf, campaign } = await three();
    const before = replicaOf('n1').currentTerm;
    const later = before + 1_000;
    expect(await campaign({ clusterId: 'another', term: later })).toBeLessThan(later);
    expect(await campaign({ clusterId: '', term: later })).toBeLessThan(later);
    expect(await campaign({ to: 'n1:00000000', term: later })).toBeLessThan(later);
    // The same from a member is heard: that is what the cluster secret is for.
    expect(await campaign({ term: later })).toBeGreaterThanOrEqual(later);
  });
});
