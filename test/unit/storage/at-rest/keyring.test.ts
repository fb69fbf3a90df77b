import { describe, expect, it } from 'vitest';
import { RootKeys } from '../../../../gateways/encryption/root-keys.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import type { FolderKeys } from '../../../../storage/at-rest/folder-keys.ts';
import { openKeyring } from '../../../../storage/at-rest/keyring.ts';
import { KEYRING_PATHS } from '../../../../storage/at-rest/keyring-file.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';

const OLD = Buffer.alloc(32, 1);
const NEW = Buffer.alloc(32, 2);
const random = seededRandom(1, 'keyring');
const SALT = Buffer.alloc(16, 3);
const keyOf = (keys: FolderKeys) => keys.sealing('wal', SALT).toString('hex');

function folder() {
  const disk = new MemoryDisk({ soon: (run) => void queueMicrotask(run) });
  const opened = (masters: Buffer[] | null, isWanted = true) =>
    openKeyring({ disk, random, isWanted, masters: masters && new RootKeys(masters) });
  return { disk, opened };
}

describe('the data keys of a folder', () => {
  it('are drawn for a new folder that is to be encrypted, and found again', async () => {
    const { opened } = folder();
    expect(await opened([OLD], false)).toBeNull();
    const born = await opened([OLD]);
    const again = await opened([OLD], false);
    expect(again?.rewrapped).toBe(0);
    expect(keyOf(again!.keys)).toBe(keyOf(born!.keys));
    const other = await folder().opened([OLD]);
    expect(keyOf(other!.keys)).not.toBe(keyOf(born!.keys));
  });

  it('are one key for each purpose and salt', async () => {
    const { keys } = (await folder().opened([OLD]))!;
    const purposes = ['wal', 'state', 'blobs', 'snapshots'] as const;
    const made = purposes.flatMap((purpose) =>
      [1, 2].map((salt) => keys.sealing(purpose, Buffer.alloc(16, salt)).toString('hex')),
    );
    expect(new Set(made).size).toBe(8);
    expect(keys.derived(2, 'wal', SALT)).toBeNull();
  });

  it('are refused without a root key, or under another one, and nothing is changed', async () => {
    const { disk, opened } = folder();
    await expect(opened(null)).rejects.toThrow('encryption-at-rest needs a root key');
    await opened([OLD]);
    const before = await disk.readFile(KEYRING_PATHS[0]);
    const id = new RootKeys([OLD]).currentId;
    await expect(opened(null, false)).rejects.toThrow(`encrypted under root key ${id}, and none`);
    await expect(opened([NEW])).rejects.toThrow(`${id}, which is not among the configured ones`);
    expect(await disk.readFile(KEYRING_PATHS[0])).toEqual(before);
  });

  it('are wrapped anew under the first root key, once, and stay the same', async () => {
    const { opened } = folder();
    const born = await opened([OLD]);
    const rotated = await opened([NEW, OLD]);
    expect(rotated?.rewrapped).toBe(1);
    expect((await opened([NEW, OLD]))?.rewrapped).toBe(0);
    const after = await opened([NEW]);
    expect(keyOf(after!.keys)).toBe(keyOf(born!.keys));
    await expect(opened([OLD])).rejects.toThrow('not among the configured ones');
  });

  it('outlive the damage of one of two copies, not of both', async () => {
    for (const [damaged, kept] of [KEYRING_PATHS, [...KEYRING_PATHS].reverse()]) {
      const { disk, opened } = folder();
      const born = await opened([OLD]);
      await disk.writeFileAtomic(damaged as string, Buffer.from('12345678{}'));
      expect(keyOf((await opened([OLD]))!.keys)).toBe(keyOf(born!.keys));
      await disk.writeFileAtomic(damaged as string, Buffer.from('12345678{}'));
      await disk.writeFileAtomic(kept as string, Buffer.from(''));
      await expect(opened([OLD])).rejects.toThrow('both copies');
    }
  });

  it('are two equal copies after each start, whatever a crash or damage has left', async () => {
    const copies = async (disk: MemoryDisk) =>
      (await Promise.all(KEYRING_PATHS.map((path) => disk.readFile(path)))).map(String);
    const [first, second] = KEYRING_PATHS;
    for (const path of KEYRING_PATHS) {
      const { disk, opened } = folder();
      const born = await opened([OLD]);
      await (path === first ? disk.remove(path) : disk.writeFileAtomic(path, Buffer.from('x')));
      await opened([OLD]);
      const [one, two] = await copies(disk);
      expect(one).toBe(two);
      await disk.remove(path === first ? second : first);
      expect(keyOf((await opened([OLD]))!.keys)).toBe(keyOf(born!.keys));
    }
    // A crash between the two: the copy is still under the root key that was replaced.
    const { disk, opened } = folder();
    await opened([OLD]);
    const old = (await disk.readFile(second)) as Uint8Array;
    await opened([NEW, OLD]);
    await disk.writeFileAtomic(second, old);
    await opened([NEW]);
    await disk.writeFileAtomic(first, Buffer.from('damaged'));
    await expect(opened([NEW])).resolves.not.toBeNull();
    await expect(opened([OLD])).rejects.toThrow('not among the configured ones');
  });

  it('are good for their folder only, whoever writes the checksum', async () => {
    const one = folder();
    const two = folder();
    const a = await one.opened([OLD]);
    await two.opened([OLD]);
    expect(a).not.toBeNull();
    const text = Buffer.from((await one.disk.readFile(KEYRING_PATHS[0]))!).toString();
    const other = Buffer.from((await two.disk.readFile(KEYRING_PATHS[0]))!).toString();
    const wrapped = /"wrapped":"([^"]+)"/;
    const moved = text.slice(8).replace(wrapped, wrapped.exec(other)![0]).trimEnd();
    const { crc32c } = await import('../../../../storage/checksum.ts');
    const sum = crc32c(Buffer.from(moved)).toString(16).padStart(8, '0');
    for (const path of KEYRING_PATHS) {
      await one.disk.writeFileAtomic(path, Buffer.from(`${sum}${moved}\n`));
    }
    await expect(one.opened([OLD])).rejects.toThrow('does not open under root key');
  });

  it('are not drawn for a folder that was written in clear', async () => {
    for (const path of ['identity.json', 'wal/head', 'state/CURRENT', 'snapshots/1/a.snap']) {
      const { disk, opened } = folder();
      await disk.writeFileAtomic(path, Buffer.from('x'));
      await expect(opened([OLD])).rejects.toThrow('was written without it');
      expect(await opened([OLD], false)).toBeNull();
    }
  });
});
