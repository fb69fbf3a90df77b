import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy whose traffic a test can cut. */
export interface TcpProxy {
  readonly port: number;
  /** Ends every connection and refuses new ones. */
  cut(): void;
  heal(): void;
  close(): Promise<void>;
}

export function tcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let open = true;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // An ended peer shows as an error here; the pair is destroyed by its close event.
    socket.on('error', () => socket.destroy());
  };
  const server = createServer((inner) => {
    keep(inner);
    if (!open) {
      inner.destroy();
      return;
    }
    const outer = connect(targetPort, '127.0.0.1');
    keep(outer);
    inner.pipe(outer).pipe(inner);
    inner.on('close', () => outer.destroy());
    outer.on('close', () => inner.destroy());
  });
  const endAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : 0,
        cut: () => {
          open = false;
          endAll();
        },
        heal: () => {
          open = true;
        },
        close: () => {
          endAll();
          return new Promise((done) => server.close(() => done()));
        },
      });
    });
  });
}
