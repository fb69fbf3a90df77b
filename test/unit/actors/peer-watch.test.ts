import { describe, expect, it } from 'vitest';
import { PeerWatch } from '../../../actors/peer-watch.ts';
import { LIMITS } from '../../../protocol/limits.ts';
import type { NodeId } from '../../../protocol/types.ts';

const n2 = 'n2' as NodeId;
const n3 = 'n3' as NodeId;

describe('the watch over other nodes', () => {
  it('takes the word of the bus that a node has left until it is heard again', () => {
    const peers = new PeerWatch();
    peers.heard(n2, 1_000);
    expect(peers.missed(n2)).toBe(true);
    expect(peers.missed(n2)).toBe(false);
    expect([peers.isAbsent(n2), peers.isAbsent(n3)]).toEqual([true, false]);
    peers.heard(n2, 1_500);
    expect(peers.isAbsent(n2)).toBe(false);
    expect(peers.missed(n2)).toBe(true);
  });

  it('finds a node silent only when it has missed a heartbeat', () => {
    const peers = new PeerWatch();
    expect(peers.isSilent(n2, 0)).toBe(true);
    peers.heard(n2, 1_000);
    expect(peers.isSilent(n2, 1_000 + LIMITS.heartbeatMs)).toBe(false);
    expect(peers.isSilent(n2, 1_000 + 2 * LIMITS.heartbeatMs)).toBe(true);
    expect(peers.silentMs(n2, 1_300)).toBe(300);
  });
});
