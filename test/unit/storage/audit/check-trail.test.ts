import { expect, it } from 'vitest';
import { AUDIT_FOLDER } from '../../../../storage/audit/audit-log.ts';
import { NO_HASH, sealed } from '../../../../storage/audit/chain.ts';
import { checkTrail } from '../../../../storage/audit/check-trail.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import type { Disk } from '../../../../storage/disk/port.ts';
import { HandClock } from '../../../kit/hand-clock.ts';

const nameOf = (seq: number) => `${String(seq).padStart(16, '0')}.ndjson`;

/** Files of three records each, in one chain. */
async function trail(files: number): Promise<Disk> {
  const disk = new MemoryDisk(new HandClock());
  let seq = 0;
  let hash = NO_HASH;
  for (let i = 0; i < files; i++) {
    let text = '';
    const name = nameOf(seq + 1);
    for (let j = 0; j < 3; j++) {
      const record = {
        ...{ seq: ++seq, at: '2026-01-01T00:00:00.000Z', node: 'n1', who: 'admin', from: '' },
        ...{ action: 'admin:write', resource: 'x', status: 200, requestId: 'r' },
      };
      const made = sealed(record, hash);
      hash = made.hash;
      text += made.line;
    }
    const file = await disk.open(`${AUDIT_FOLDER}/${name}`);
    await file.write(0, Buffer.from(text));
    await file.sync();
    await file.close();
  }
  return disk;
}

/** Before each file is opened, what `before` does. */
function watched(disk: Disk, before: (opened: number) => Promise<void>) {
  let opened = 0;
  return {
    list: (folder: string) => disk.list(folder),
    openToRead: async (path: string) => {
      await before(++opened);
      return disk.openToRead(path);
    },
  };
}

it('what goes while it is read is not missing', async () => {
  const disk = await trail(6);
  const remove = (seq: number) => disk.remove(`${AUDIT_FOLDER}/${nameOf(seq)}`);
  const found = await checkTrail(
    watched(disk, async (opened) => {
      // Two go while the first is read, and two more while it is read again.
      if (opened === 2) await Promise.all([remove(1), remove(4)]);
      if (opened === 8) await Promise.all([remove(7), remove(10)]);
    }),
  );
  expect(found).toMatchObject({ fault: null, lastSeq: 18 });
  expect([found.firstSeq, found.files, found.records]).toEqual([13, 2, 6]);
});

it('what was taken out of the middle is, and what was there all the time and is wrong', async () => {
  const disk = await trail(3);
  await disk.remove(`${AUDIT_FOLDER}/${nameOf(4)}`);
  const { fault } = await checkTrail(disk);
  expect(fault).toEqual({ file: nameOf(7), line: 1, what: 'record 4 is missing' });
});

it('files that go faster than they are read end it', async () => {
  const disk = await trail(40);
  let next = 1;
  const found = await checkTrail(
    watched(disk, async (opened) => {
      if (opened % 3 !== 2) return;
      await disk.remove(`${AUDIT_FOLDER}/${nameOf(next + 3)}`);
      next += 3;
    }),
  );
  expect(found.fault).not.toBeNull();
});
