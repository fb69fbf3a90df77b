import { execFile } from 'node:child_process';
import { openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const MIB = 1024 * 1024;

interface NodeLine {
  readonly event: string;
  readonly nodeId: string;
  readonly verified: number;
  readonly damaged: number;
  readonly mended: number;
  readonly missing: number;
  readonly total: number;
}

describe('minikv verify, repair and compact on three nodes', () => {
  let cluster: ProcessCluster;
  beforeAll(async () => {
    cluster = await ProcessCluster.start({ nodes: 3, groups: 1 });
  });
  afterAll(() => cluster?.dispose());

  const minikv = async (...args: string[]): Promise<{ code: number; nodes: NodeLine[] }> => {
    const all = [MAIN, ...args, '--json', '--endpoint', cluster.urls().join(',')];
    const { code, out } = await promisify(execFile)(process.execPath, all).then(
      ({ stdout }) => ({ code: 0, out: stdout }),
      (error: { code: number; stdout: string }) => ({ code: error.code, out: error.stdout }),
    );
    const lines = out.trim().split('\n');
    const read = lines.map((line) => JSON.parse(line) as NodeLine);
    return { code, nodes: read.filter(({ event }) => event === 'node') };
  };

  it('F12 a damaged chunk is found, brought from another node, and found no more', async () => {
    const [url] = cluster.urls();
    const put = (path: string, body: Buffer | string) =>
      fetch(`${url}/s3/${path}`, { method: 'PUT', body });
    while (!(await put('cared', '')).ok) await sleep(50);
    for (let i = 0; i < 6; i++) {
      expect((await put(`cared/${i}`, Buffer.alloc(2 * MIB, i + 1))).status).toBe(200);
    }
    // A copy that was left out of a write is brought within seconds.
    let seen = await minikv('verify');
    for (let i = 0; i < 60 && seen.code !== 0; i++) {
      await sleep(500);
      seen = await minikv('verify');
    }
    expect(seen.nodes.map(({ nodeId }) => nodeId)).toEqual(['n1', 'n2', 'n3']);
    for (const node of seen.nodes) {
      expect(node).toMatchObject({ verified: 6, damaged: 0, missing: 0, total: 6 });
    }
    const folder = join(cluster.node(1).data, 'blobs');
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile() && statSync(path).size > MIB);
    expect(files.length).toBe(6);
    const file = openSync(files[2] as string, 'r+');
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, MIB);
    byte[0] = (byte[0] as number) ^ 4;
    writeSync(file, byte, 0, 1, MIB);

    const found = await minikv('verify');
    expect(found.code).toBe(1);
    expect(found.nodes.map(({ damaged }) => damaged)).toEqual([0, 1, 0]);
    const repaired = await minikv('repair', '--node', 'n2');
    expect(repaired.code).toBe(0);
    expect(repaired.nodes).toMatchObject([{ nodeId: 'n2', damaged: 1, mended: 1, total: 6 }]);
    const after = await minikv('verify');
    expect(after.code).toBe(0);
    expect(after.nodes.map(({ verified }) => verified)).toEqual([6, 6, 6]);
    const compacted = await minikv('compact');
    expect(compacted.code).toBe(0);
    expect(compacted.nodes).toMatchObject([{ removed: 0 }, { removed: 0 }, { removed: 0 }]);
    await cluster.kill(2);
    const without = await minikv('verify', '--timeout', '2');
    expect(without.code).toBe(1);
    expect(without.nodes.filter((node) => 'failure' in node)).toMatchObject([{ nodeId: 'n3' }]);

    // An empty disk knows of no chunk that it lacks: that is no reason to call it well.
    cluster.wipe(2);
    cluster.spawn(2);
    await cluster.ready(60_000);
    let filled = await minikv('verify');
    for (let i = 0; i < 10 && filled.code !== 0; i++) filled = await minikv('verify');
    expect(filled.code).toBe(0);
    expect(filled.nodes.map(({ verified }) => verified)).toEqual([6, 6, 6]);
  }, 120_000);
});
