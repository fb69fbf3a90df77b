import { expect, it } from 'vitest';
import { crc32c } from '../../../../storage/checksum.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import { loadHead, saveHead } from '../../../../storage/wal/head.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';

const HEAD = {
  ...{ walId: Buffer.from('0123456789abcdef', 'hex'), firstSequence: 3 },
  ...{ firstPosition: 9, syncedPosition: 12 },
};

it('a head is read as it was saved', async () => {
  const disk = new MemoryDisk(REAL_CLOCK);
  expect(await loadHead(disk)).toBe('absent');
  await saveHead(disk, HEAD);
  expect(await loadHead(disk)).toEqual(HEAD);
});

// npm run fuzz -- --only 'WAL head' --seed 2: a SyntaxError
it.each([
  ['no JSON', '{"v":1,'],
  ['another value', 'null'],
  ['no id', '{"v":1,"firstSequence":1,"firstPosition":0,"syncedPosition":0}'],
  ['no counts', '{"v":1,"walId":"0123456789abcdef","firstSequence":1}'],
  [
    'a count below 0',
    '{"v":1,"walId":"0123456789abcdef","firstSequence":1,"firstPosition":-1,"syncedPosition":0}',
  ],
])('a head whose checksum holds and that has %s is damaged', async (_what, body) => {
  const disk = new MemoryDisk(REAL_CLOCK);
  const crc = crc32c(Buffer.from(body)).toString(16).padStart(8, '0');
  await disk.writeFileAtomic('wal/head', Buffer.from(`${crc}${body}`));
  expect(await loadHead(disk)).toBe('damaged');
});
