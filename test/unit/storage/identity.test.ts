import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../protocol/random.ts';
import type { NodeId } from '../../../protocol/types.ts';
import { crc32c } from '../../../storage/checksum.ts';
import { IDENTITY_PATH, loadIdentity, saveIdentity } from '../../../storage/identity.ts';
import type { Identity } from '../../../storage/ports.ts';
import { VirtualTime } from '../../kit/virtual-time.ts';
import { SimDisk } from '../../sim/sim-disk.ts';

const EMPTY: Identity = {
  nodeId: 'n1' as NodeId,
  incarnation: '0123456789abcdef',
  formation: null,
  born: false,
};
const FORMED: Identity = {
  ...EMPTY,
  formation: {
    clusterId: 'c'.repeat(16),
    members: [{ nodeId: 'n1' as NodeId, incarnation: '0123456789abcdef' }],
    groupCount: 8,
  },
};

function machine(seed: number) {
  const time = new VirtualTime(seed);
  const disk = new SimDisk(time.process().clock, seededRandom(seed, 'disk'), {});
  return { time, disk };
}

describe('identity', () => {
  it('an empty folder has none; a saved one comes back', async () => {
    const { time, disk } = machine(1);
    expect(await time.until(loadIdentity(disk))).toEqual({ state: 'absent' });
    for (const identity of [EMPTY, FORMED, { ...FORMED, cluster: 'east' }]) {
      await time.until(saveIdentity(disk, identity));
      expect(await time.until(loadIdentity(disk))).toEqual({ state: 'valid', identity });
    }
  });

  it('of another version is told from damage, so that its data is left alone', async () => {
    const { time, disk } = machine(2);
    const body = JSON.stringify({ v: 2, ...FORMED, more: true });
    const sum = crc32c(Buffer.from(body)).toString(16).padStart(8, '0');
    const file = Buffer.from(`{"crc32c":"${sum}","identity":${body}}\n`);
    await time.until(disk.writeFileAtomic(IDENTITY_PATH, file));
    expect(await time.until(loadIdentity(disk))).toEqual({ state: 'foreign', format: 2 });
  });

  it('after a crash while it changes the old or the new one is there', async () => {
    const found = new Set<string>();
    for (let seed = 1; seed <= 60; seed++) {
      const { time, disk } = machine(seed);
      await time.until(saveIdentity(disk, EMPTY));
      saveIdentity(disk, FORMED);
      disk.crash();
      const loaded = await time.until(loadIdentity(disk));
      if (loaded.state !== 'valid') throw new Error(`it is ${loaded.state}`);
      expect([EMPTY, FORMED]).toContainEqual(loaded.identity);
      found.add(loaded.identity.formation === null ? 'old' : 'new');
    }
    expect(found.size).toBe(2);
  });

  it('F12 a flipped bit anywhere in it is told as damage', async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const { time, disk } = machine(seed);
      await time.until(saveIdentity(disk, FORMED));
      disk.flipSomewhere(() => true);
      expect((await time.until(loadIdentity(disk))).state).toBe('damaged');
    }
  });
});
