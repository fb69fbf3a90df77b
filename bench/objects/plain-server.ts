import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

/**
 * What a plain Node program does with a PUT of an object: hashes it with MD5 and SHA-256 as it comes, writes it to a file of its own
 * and syncs that before it answers. No copies, no checksums of its own, no order with other writes.
 */
const [, , port, folder] = process.argv as unknown as [string, string, string, string];
let files = 0;

const server = createServer((req, res) => {
  put(req).then(
    (etag) => res.writeHead(200, { etag, 'content-length': '0' }).end(),
    (error: unknown) => res.writeHead(500, { 'content-length': '0' }).end(String(error)),
  );
});

async function put(req: AsyncIterable<Buffer>): Promise<string> {
  const md5 = createHash('md5');
  const sha256 = createHash('sha256');
  const file = await open(join(folder, `object-${files++ % 64}`), 'w');
  try {
    for await (const piece of req) {
      md5.update(piece);
      sha256.update(piece);
      await file.write(piece);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  sha256.digest();
  return `"${md5.digest('hex')}"`;
}

server.listen(Number(port), '127.0.0.1');
