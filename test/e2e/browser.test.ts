import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';

const PAGE = fileURLToPath(new URL('../kit/browser-page.mjs', import.meta.url));
const LIBRARY = fileURLToPath(new URL('../../dist/client', import.meta.url));

/** What a page reports that was loaded from `origin`. */
async function page(origin: string, ...endpoint: string[]): Promise<Map<string, unknown[]>> {
  const flags = ['--experimental-vm-modules', '--no-warnings'];
  const args = [...flags, PAGE, LIBRARY, origin, ...endpoint];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 50_000 });
  const reports = JSON.parse(stdout) as [string, ...unknown[]][];
  return new Map(reports.map(([name, ...rest]) => [name, rest]));
}

describe('the client library with the globals of a browser and nothing else', () => {
  let cluster: ProcessCluster;
  beforeAll(async () => {
    cluster = await ProcessCluster.start({ nodes: 1 });
  });
  afterAll(() => cluster.dispose());

  it('does on a page of its own origin what it does in Node.js', async () => {
    const reports = await page(cluster.node(0).url);
    expect(Object.fromEntries(reports)).toEqual({
      get: ['ä'],
      bytes: [[0, 255]],
      scan: [['page/bytes', 'page/text']],
      transaction: ['ä'],
      watch: [
        [
          ['delete', 'page/text'],
          ['put', 'page/moved'],
        ],
      ],
      lease: [true, null],
      lock: ['_locks/page', 'lock_held', true],
      abort: ['aborted'],
      globals: ['undefined', 'undefined', 'undefined', 'undefined'],
    });
  }, 60_000);

  it('a page of another origin can write nothing, whatever it sends', async () => {
    const { url } = cluster.node(0);
    const reports = await page('http://elsewhere.example', url);
    expect(reports.get('foreign')).not.toEqual(['done']);
    expect((await fetch(`${url}/v1/kv/page/foreign`)).status).toBe(404);
  }, 60_000);
});
