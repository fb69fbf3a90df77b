import { join } from 'node:path';
import type { Ports } from '../../actors/kit/ports.ts';
import { startNode } from '../../actors/node.ts';
import type { Node } from '../../actors/node-port.ts';
import { systemClock } from '../../cli/system-clock.ts';
import { systemRandom } from '../../cli/system-random.ts';
import { InProcessHub } from '../../gateways/peer/in-process-bus.ts';
import { NO_TELEMETRY } from '../../observability/port.ts';
import type { NodeId } from '../../protocol/types.ts';
import { NodeDisk } from '../../storage/disk/node-disk.ts';
import { MemoryEngine } from '../../storage/kv/memory-engine.ts';
import { ValueCompression } from '../../storage/kv/value-compression.ts';
import { openStorage } from '../../storage/open.ts';

/** Nodes of one process, with one group of keys, over a bus in this process and real disks below `folder`. */
export async function startNodes(folder: string, count: number): Promise<Node[]> {
  const clock = systemClock({ holdOpen: true });
  const random = systemRandom();
  const hub = new InProcessHub({ clock, telemetry: NO_TELEMETRY });
  const names = Array.from({ length: count }, (_, i) => `n${i + 1}` as NodeId);
  return Promise.all(
    names.map((nodeId) => {
      const fatal = (reason: string, error: unknown): never => {
        throw new Error(reason, { cause: error });
      };
      const storage = openStorage({
        ...{
          disk: new NodeDisk(join(folder, nodeId)),
          clock,
          random,
          prepareAhead: false,
          keys: null,
          rotation: null,
          compression: new ValueCompression([]),
        },
        openEngine: async () => new MemoryEngine(clock),
        setEngineAside: async () => {},
        onFatal: fatal,
      });
      const ports: Ports = {
        ...{ clock, random, storage, fatal, telemetry: NO_TELEMETRY, bus: hub.bus() },
        publishChange: () => {},
        notifications: { deliver: async () => {} },
      };
      return startNode(
        {
          ...{ nodeId, cluster: 'bench', initialMembers: names, join: false, groupCount: 1 },
          ...{ roles: ['replica', 'gateway'], retentionMs: 60_000, durability: 'quorum-fsync' },
          ...{ httpUrl: 'http://bench', version: '0' },
        },
        ports,
      );
    }),
  );
}
