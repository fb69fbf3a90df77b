import { request } from 'node:http';

/** Names that clients, URLs, signatures and XML each write in their own way. */
export const KEY_NAMES: readonly string[] = [
  'with space',
  ' at both ends ',
  'plus+plus',
  'per%cent',
  'per%20cent%2F',
  'größe — 大きさ 🎉',
  'e\u0301 beside \u00e9',
  'a..b/..c',
  'up/../and/./down',
  'double//slash',
  '/leading',
  'trailing/',
  'query?x=1&y#fragment',
  'quotes"and\'<xml>&amp;',
  "sub!$()*,;:@=[]{}|^`~'",
  'back\\slash',
  `${'long/'.repeat(204)}1024`,
];

/** What a URL gives, asked for as it is written: `fetch` would take `..` for a folder's parent. */
export function getAsWritten(url: string): Promise<{ status: number; bytes: Buffer }> {
  const path = url.replace(/^http:\/\/[^/]+/, '');
  const { hostname, port, host } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, headers: { host } }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.once('error', reject);
      answer.once('end', () => {
        resolve({ status: answer.statusCode ?? 0, bytes: Buffer.concat(chunks) });
      });
    });
    sent.once('error', reject);
    sent.end();
  });
}
