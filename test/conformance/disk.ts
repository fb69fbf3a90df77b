import { describe, expect, it } from 'vitest';
import type { Disk } from '../../storage/disk/port.ts';

export interface DiskHarness {
  readonly disk: Disk;
  until<T>(work: Promise<T>): Promise<T>;
}

const text = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString());
const bytes = (content: string) => Buffer.from(content);

/** The contract of Disk (storage/disk/port.ts). */
export function diskConformance(name: string, make: () => Promise<DiskHarness>): void {
  const test = (title: string, run: (disk: Disk) => Promise<void>) =>
    it(title, async () => {
      const { disk, until } = await make();
      await until(run(disk));
    });

  describe(`Disk: ${name}`, () => {
    test('opens a new file empty, with its folders', async (disk) => {
      const file = await disk.open('a/b/c.bin');
      expect(await file.size()).toBe(0);
      expect(await file.read(0, 10)).toEqual(new Uint8Array(0));
      await file.close();
      expect(await disk.list('a')).toEqual(['b']);
      expect(await disk.list('a/b')).toEqual(['c.bin']);
      expect(text(await disk.readFile('a/b/c.bin'))).toBe('');
    });

    test('writes and reads anywhere; a gap is zeros; a read ends at the end', async (disk) => {
      const file = await disk.open('f');
      await file.write(3, bytes('def'));
      await file.write(8, bytes('i'));
      await file.sync();
      expect(await file.size()).toBe(9);
      expect(text(await file.read(0, 100))).toBe('\0\0\0def\0\0i');
      expect(text(await file.read(4, 2))).toBe('ef');
      expect((await file.read(9, 5)).length).toBe(0);
      expect((await file.read(50, 5)).length).toBe(0);
      await file.write(0, bytes('abc'));
      expect(text(await file.read(0, 6))).toBe('abcdef');
      await file.close();
      const again = await disk.open('f');
      expect(text(await again.read(0, 6))).toBe('abcdef');
      await again.close();
    });

    test('writeAndSync calls back once, later', async (disk) => {
      const file = await disk.open('f');
      let calls = 0;
      await new Promise<void>((resolved) => {
        file.writeAndSync(0, bytes('hello'), (error) => {
          expect(error).toBeNull();
          calls++;
          resolved();
        });
        expect(calls).toBe(0);
      });
      expect(text(await disk.readFile('f'))).toBe('hello');
      await file.close();
    });

    test('keeps no reference to a buffer it was given', async (disk) => {
      const buffer = bytes('first');
      const file = await disk.open('f');
      await file.write(0, buffer);
      await disk.writeFileAtomic('g', buffer);
      buffer.fill(0x78);
      expect(text(await file.read(0, 5))).toBe('first');
      expect(text(await disk.readFile('g'))).toBe('first');
      await file.close();
    });

    test('truncates and lengthens', async (disk) => {
      const file = await disk.open('f');
      await file.write(0, bytes('abcdef'));
      await file.truncate(2);
      await file.truncate(4);
      expect(text(await file.read(0, 10))).toBe('ab\0\0');
      await file.close();
    });

    test('opens a file that is there for reading, and makes none', async (disk) => {
      expect(await disk.openToRead('r/f')).toBeNull();
      expect(await disk.list('')).toEqual([]);
      await disk.writeFileAtomic('r/f', bytes('content'));
      const file = await disk.openToRead('r/f');
      await disk.remove('r/f');
      expect(text((await file?.read(3, 9)) ?? null)).toBe('tent');
      await file?.close();
    });

    test('creates files empty, and places them, over one that is there', async (disk) => {
      for (const content of ['one', 'other']) {
        const file = await disk.create('scratch/1');
        expect(await file.size()).toBe(0);
        await file.write(0, bytes(content));
        await file.sync();
        await file.close();
        if (content === 'one') await disk.create('scratch/1').then((again) => again.close());
        else await disk.place('scratch/1', 'deep/er/f');
      }
      expect(text(await disk.readFile('deep/er/f'))).toBe('other');
      expect(await disk.list('scratch')).toEqual([]);
      const many = Array.from({ length: 20 }, (_, i) => `${i}`);
      for (const name of many) await disk.create(`scratch/${name}`).then((file) => file.close());
      await Promise.all(many.map((name) => disk.place(`scratch/${name}`, `deep/${name}`)));
      expect((await disk.list('deep')).length).toBe(21);
      await expect(disk.place('scratch/none', 'deep/none')).rejects.toMatchObject({
        code: 'ENOENT',
      });
    });

    test('removes folders that are empty, and they can be placed into again', async (disk) => {
      await disk.removeFolder('none/such');
      for (const round of [1, 2]) {
        await disk.create(`scratch/${round}`).then((file) => file.close());
        await disk.place(`scratch/${round}`, 'a/b/f');
        await disk.removeFolder('a/b');
        expect(await disk.list('a/b')).toEqual(['f']);
        await disk.remove('a/b/f');
        await disk.removeFolder('a/b');
        await disk.removeFolder('a');
        expect(await disk.list('a')).toEqual([]);
      }
    });

    test('writes a whole file in place of the old one', async (disk) => {
      expect(await disk.readFile('x/f')).toBeNull();
      await disk.writeFileAtomic('x/f', bytes('one'));
      await disk.writeFileAtomic('x/f', bytes('two'));
      expect(text(await disk.readFile('x/f'))).toBe('two');
      expect(await disk.list('x')).toEqual(['f']);
    });

    test('lists sorted names, [] for no folder', async (disk) => {
      expect(await disk.list('none')).toEqual([]);
      for (const name of ['c', 'a', 'b']) await disk.writeFileAtomic(`d/${name}`, bytes(name));
      expect(await disk.list('d')).toEqual(['a', 'b', 'c']);
      expect(await disk.list('')).toEqual(['d']);
    });

    test('removes, also what is gone already', async (disk) => {
      await disk.writeFileAtomic('f', bytes('x'));
      await disk.remove('f');
      await disk.remove('f');
      await disk.remove('none/f');
      expect(await disk.readFile('f')).toBeNull();
    });

    test('renames files over files, and whole folders', async (disk) => {
      await disk.writeFileAtomic('a/one', bytes('1'));
      await disk.writeFileAtomic('a/two', bytes('2'));
      await disk.rename('a/one', 'a/two');
      expect(await disk.list('a')).toEqual(['two']);
      await disk.rename('a', 'b/c');
      expect(text(await disk.readFile('b/c/two'))).toBe('1');
      expect(await disk.list('a')).toEqual([]);
      await expect(disk.rename('none', 'x')).rejects.toMatchObject({ code: 'ENOENT' });
    });

    test('refuses every path that is not inside', async (disk) => {
      for (const path of ['', '/etc/x', '../x', 'a/../../x', 'a//b', './a', 'a/.', 'nul\0']) {
        const refused = { code: 'EINVAL' };
        await expect(Promise.resolve().then(() => disk.open(path))).rejects.toMatchObject(refused);
        await expect(
          Promise.resolve().then(() => disk.writeFileAtomic(path, bytes('x'))),
        ).rejects.toMatchObject(refused);
        await expect(Promise.resolve().then(() => disk.rename('a', path))).rejects.toMatchObject(
          refused,
        );
      }
    });
  });
}
