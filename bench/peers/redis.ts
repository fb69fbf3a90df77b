import { freePort } from '../../test/kit/nats-server.ts';
import { findBinary, versionOf } from '../system/binaries.ts';
import { ServerProcess } from '../system/server-process.ts';
import { isListening } from './bare.ts';
import type { PeerKind } from './peer.ts';

const BINARY = 'redis-server';

/** Redis with every write fsynced before it is answered, and no snapshots beside that. */
export const redis: PeerKind = {
  name: 'Redis',
  version: () => {
    const file = findBinary(BINARY);
    return file === null ? null : versionOf(file);
  },
  install: 'apt-get install redis-server',
  maxNodes: 1,
  start: async ({ folder }) => {
    const port = await freePort();
    const args = [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', 'always'],
    ];
    const server = new ServerProcess(findBinary(BINARY) as string, args);
    await server.until(() => isListening(port), 10_000);
    return {
      name: 'Redis',
      dialect: 'redis',
      targets: [{ host: '127.0.0.1', port }],
      pids: () => [server.pid],
      can: (kind) => kind !== 'scan' && kind !== 'scan-all',
      stop: () => server.stop(),
    };
  },
};
