import { createServer } from 'node:http';

/**
 * The bare `node:http` server: collects the body of a PUT and answers two bytes; answers 100 bytes to a
 * GET. What Node's HTTP costs when nothing is done. `bare-server.ts <port>`.
 */
const values = new Map<string, Buffer>();
const fallback = Buffer.alloc(100, 'x');
const server = createServer((request, response) => {
  if (request.method !== 'PUT') {
    const value = values.get(request.url as string) ?? fallback;
    response.writeHead(200, { 'content-length': value.length });
    response.end(value);
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    values.set(request.url as string, Buffer.concat(chunks));
    response.writeHead(200, { 'content-length': 2 });
    response.end('ok');
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');
