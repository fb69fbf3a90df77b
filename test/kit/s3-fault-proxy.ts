import http from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What becomes of one request: it passes; is answered with a status and nothing else; its answer is cut in the middle,
 * or has one bit flipped in it; or it is held until the promise resolves.
 */
export type Fate = 'pass' | 'cut' | 'flip' | { readonly status: number } | Promise<void>;

export interface S3FaultProxy {
  readonly url: string;
  /** Method and target of all requests so far. */
  readonly seen: string[];
  stop(): Promise<void>;
}

/** In front of an S3 endpoint; the host that was signed stays. */
export async function s3FaultProxy(
  url: string,
  fateOf: (method: string, target: string) => Fate,
): Promise<S3FaultProxy> {
  const { hostname, port } = new URL(url);
  const seen: string[] = [];
  const agent = new http.Agent({ keepAlive: true });
  const server = http.createServer(async (request, answer) => {
    const { method = '', url: path = '' } = request;
    seen.push(`${method} ${path}`);
    const fate = fateOf(method, path);
    if (typeof fate === 'object' && 'status' in fate) {
      request.resume();
      answer.writeHead(fate.status).end();
      return;
    }
    if (typeof fate === 'object') await fate;
    const headers = request.rawHeaders;
    const onward = http.request({ hostname, port, method, path, headers, agent }, (got) => {
      answer.writeHead(got.statusCode ?? 0, got.rawHeaders);
      if (fate !== 'cut' && fate !== 'flip') {
        got.pipe(answer);
        return;
      }
      got.once('data', (first: Buffer) => {
        if (fate === 'flip') {
          const damaged = Buffer.from(first);
          damaged[0] = (damaged[0] as number) ^ 1;
          answer.write(damaged);
          got.pipe(answer);
          return;
        }
        answer.write(first.subarray(0, first.length >> 1), () => answer.destroy());
        got.destroy();
      });
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    stop: () => {
      agent.destroy();
      server.closeAllConnections();
      return new Promise((closed) => server.close(() => closed()));
    },
  };
}
