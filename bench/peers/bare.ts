import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../test/kit/nats-server.ts';
import { ServerProcess } from '../system/server-process.ts';
import type { PeerKind } from './peer.ts';

const SERVER = fileURLToPath(new URL('./bare-server.ts', import.meta.url));

export const bare: PeerKind = {
  name: 'node:http',
  version: () => process.version,
  install: 'it comes with Node.js',
  maxNodes: 1,
  start: async () => {
    const port = await freePort();
    const args = ['--import', import.meta.resolve('tsx'), SERVER, String(port)];
    const server = new ServerProcess(process.execPath, args);
    await server.until(() => isListening(port), 10_000);
    return {
      name: 'node:http',
      dialect: 'bare',
      targets: [{ host: '127.0.0.1', port }],
      pids: () => [server.pid],
      can: (kind) => kind === 'put' || kind === 'get' || kind === 'mix',
      stop: () => server.stop('SIGKILL'),
    };
  },
};

export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
