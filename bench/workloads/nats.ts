import { type MinikvPeer, startMinikv } from '../peers/minikv.ts';
import type { Peer } from '../peers/peer.ts';
import { cellLines } from '../report/cell-table.ts';
import type { Cell } from '../results.ts';
import { type CellPlan, LoadedPeer, type LoadSettings, measureCell } from './load.ts';

/** Native NATS requests beside HTTP, both to the same nodes. */

export const NATS_NAME = 'minikv NATS';

export async function runNats(
  nodes: number,
  folder: string,
  settings: LoadSettings,
): Promise<Cell[]> {
  const peer = await startMinikv({ nodes, folder, withNats: true });
  const http = new LoadedPeer(peer);
  const nats = new LoadedPeer(overNats(peer));
  const cells: Cell[] = [];
  try {
    await http.fill(settings.seed);
    await http.warm(settings);
    await nats.warm(settings);
    for (const kind of ['put', 'get'] as const) {
      const plan: CellPlan = {
        ...{ workload: 'nats', name: `${kind} (NATS)`, nodes, connections: 64 },
        operation: { kind },
      };
      const cell = await measureCell(plan, [http, nats], settings);
      cells.push(cell);
      for (const line of cellLines(cell)) settings.say(line);
    }
  } finally {
    await nats.close();
    await http.close();
  }
  return cells;
}

/** The same cluster, asked through its nats-server; whoever made it stops it. */
function overNats(peer: MinikvPeer): Peer {
  if (peer.natsPort === null) throw new Error('this cluster has no nats-server');
  return {
    name: NATS_NAME,
    dialect: 'nats',
    targets: [{ host: '127.0.0.1', port: peer.natsPort }],
    pids: () => peer.pids(),
    can: (kind) => kind === 'put' || kind === 'get' || kind === 'mix',
    stop: async () => {},
  };
}
