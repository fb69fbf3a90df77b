import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../cli/system-clock.ts';
import { openClassicEngine } from '../../../../storage/kv/classic-engine.ts';
import { occupyTableMaps } from '../../../../storage/kv/table-maps.ts';
import { put, textOf } from '../../../conformance/kv-engine.ts';
import { temporaryFolder } from '../../../kit/engines.ts';

/** Mapped table files of this process, by folder. */
function mapsOf(folder: string): number {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  return maps.filter((line) => dirname(line).endsWith(folder) && line.endsWith('.ldb')).length;
}

const clock = systemClock({ holdOpen: true });
const onLinux = process.platform === 'linux';

describe('table maps', () => {
  it.runIf(onLinux)('are taken by empty tables, and given back', async () => {
    const folder = join(await temporaryFolder(), 'maps');
    const letGo = await occupyTableMaps(folder);
    expect(mapsOf(folder)).toBe(1_000);
    await letGo();
    expect(mapsOf(folder)).toBe(0);
    const again = await occupyTableMaps(folder);
    expect(mapsOf(folder)).toBe(1_000);
    await again();
  });

  it.runIf(onLinux)(
    'are taken before the engine opens its own tables, which are read',
    async () => {
      const path = join(await temporaryFolder(), 'state');
      const open = () => openClassicEngine(path, { bootId: 'boot-1', clock });
      let engine = await open();
      await engine.write([put('a', '1')]);
      await engine.flush();
      await engine.close();
      engine = await open();
      expect(textOf(engine.get('a'))).toBe('1');
      expect(mapsOf(path)).toBe(0);
      expect(mapsOf(`${path}-maps`)).toBe(1_000);
      await engine.close();
      const bare = new ClassicLevel(path);
      await bare.open();
      expect(bare.getSync('a')).toBe('1');
      expect(mapsOf(path)).toBe(1);
      await bare.close();
    },
  );

  it('are made anew from a folder that is damaged', async () => {
    const folder = join(await temporaryFolder(), 'maps');
    await (await occupyTableMaps(folder))();
    const manifest = readdirSync(folder).find((name) => name.startsWith('MANIFEST')) as string;
    writeFileSync(join(folder, manifest), 'not one');
    const letGo = await occupyTableMaps(folder);
    if (onLinux) expect(mapsOf(folder)).toBe(1_000);
    await letGo();
  });

  it('are no condition: without a folder nothing happens', async () => {
    const file = join(await temporaryFolder(), 'file');
    writeFileSync(file, '');
    await (await occupyTableMaps(join(file, 'maps')))();
  });
});
