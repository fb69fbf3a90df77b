import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configuredRootKeys, rootKeys, shareRootKey } from '../../../cli/root-keys.ts';
import { RootKeys } from '../../../gateways/encryption/root-keys.ts';
import { seededRandom } from '../../../protocol/random.ts';

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'minikv-root-'));
});
afterEach(() => rm(data, { recursive: true }));

const random = seededRandom(1);
const NATS = ['nats://127.0.0.1:4222'];
const of = async (more: object = {}) => {
  const source = {
    ...{ rootKeys: null, rootKeyFile: null, rootKeyCommand: null, ephemeral: false, nats: [] },
    ...{ data: join(data, 'n1'), ...more },
  };
  return rootKeys(source, await configuredRootKeys(source), random);
};
const given = new RootKeys([Buffer.alloc(32, 5)]).currentId;

describe('the root key', () => {
  it('is drawn once by a node on its own, kept for nobody else to read, and found again', async () => {
    const made = await of();
    const path = join(data, 'n1', 'root-key');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await of())?.currentId).toBe(made?.currentId);
    // The same node, in a cluster now.
    expect((await of({ nats: NATS }))?.currentId).toBe(made?.currentId);
  });

  it('is not drawn by one of several nodes: each would have another', async () => {
    expect(await of({ nats: NATS })).toBeNull();
    expect(await of({ nats: NATS, ephemeral: true })).toBeNull();
    await expect(stat(join(data, 'n1'))).rejects.toThrow('ENOENT');
  });

  it('comes from the configuration or a file, and nothing is kept of it', async () => {
    expect((await of({ rootKeys: [Buffer.alloc(32, 5)] }))?.currentId).toBe(given);
    const rootKeyFile = join(data, 'my-key');
    await expect(of({ rootKeyFile })).rejects.toThrow('is not there');
    await writeFile(rootKeyFile, `${Buffer.alloc(32, 5).toString('hex')}\n`);
    expect((await of({ rootKeyFile }))?.currentId).toBe(given);
    await expect(stat(join(data, 'n1'))).rejects.toThrow('ENOENT');
    expect(await of({ ephemeral: true })).not.toBeNull();
    await expect(stat(join(data, 'n1'))).rejects.toThrow('ENOENT');
  });

  it('is shared with all nodes of a cluster, and stays the same', async () => {
    const folders = ['n1', 'n2', 'n3'].map((name) => join(data, name));
    await shareRootKey(data, folders, random);
    const first = await readFile(join(data, 'root-key'), 'utf8');
    await shareRootKey(data, folders, random);
    const ids = await Promise.all(
      folders.map(async (folder) => (await of({ data: folder, nats: NATS }))?.currentId),
    );
    expect(new Set(ids).size).toBe(1);
    expect(await readFile(join(data, 'root-key'), 'utf8')).toBe(first);
  });

  it('a damaged file is not replaced by a new one', async () => {
    await of();
    const path = join(data, 'n1', 'root-key');
    await writeFile(path, 'not a key');
    await expect(of()).rejects.toThrow('has no root key');
    expect(await readFile(path, 'utf8')).toBe('not a key');
  });
});
