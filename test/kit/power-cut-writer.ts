import { join } from 'node:path';
import { systemClock } from '../../cli/system-clock.ts';
import { systemRandom } from '../../cli/system-random.ts';
import { DiskHealth } from '../../storage/disk/health.ts';
import { NodeDisk } from '../../storage/disk/node-disk.ts';
import { openClassicEngine } from '../../storage/kv/classic-engine.ts';
import { MemtableStore } from '../../storage/kv/state-store.ts';
import { openWal } from '../../storage/wal/recovery.ts';

/**
 * A process that writes until its machine dies: numbered records to the WAL, and after each sync the
 * same numbers to the state. Prints what it found, then every number it acknowledges.
 * Arguments: data folder, boot id.
 */
const [root = '', bootId = ''] = process.argv.slice(2);
const clock = systemClock({ holdOpen: true });
const random = systemRandom();
const disk = new NodeDisk(root);

function keyOf(number: number): string {
  return `row-${String(number).padStart(9, '0')}`;
}

const logged: number[] = [];
const health = new DiskHealth(disk, clock);
const options = {
  ...{ segmentBytes: 256 * 1024, markerDelayMs: 5, prepareAhead: true },
  ...{ random, health, seal: null },
};
const { wal, recovery } = await openWal(disk, clock, options, (_stream, payload) => {
  logged.push(Number.parseInt(Buffer.from(payload).toString(), 10));
});
const engine = await openClassicEngine(join(root, 'state'), { bootId, clock });
const store = new MemtableStore(engine, clock, {
  memtableBytes: 64 * 1024,
  memtableAgeMs: 20,
  mayWrite: () => true,
  onFatal: (error) => {
    throw error;
  },
});
const applied = Number(Buffer.from(store.get('applied') ?? Buffer.from('0')).toString());
let missing = 0;
for (let number = 1; number <= applied; number++) if (store.get(keyOf(number)) === null) missing++;
const found = {
  damage: recovery.damage,
  applied,
  missing,
  logged: [logged[0] ?? 0, logged.at(-1) ?? 0],
};
process.stdout.write(`${JSON.stringify({ ...found, isGapless: isGapless(logged) })}\n`);

function isGapless(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => number === numbers[0]! + i);
}

function apply(number: number): void {
  const text = Buffer.from(`${number}`);
  store.write([
    { key: keyOf(number), value: Buffer.alloc(random.bytes(1)[0]!, 1) },
    { key: 'applied', value: text },
  ]);
}

if (wal === null) process.exit(2);
let last = Math.max(applied, logged.at(-1) ?? 0);
for (const number of logged) if (number > applied) apply(number);
for (;;) {
  const ends: number[] = [];
  for (let i = 0; i < 16; i++) {
    ends.push(wal.append([{ stream: 1, payload: Buffer.from(`${++last}`.padEnd(200, '.')) }]));
  }
  await new Promise<void>((resolved, rejected) => {
    wal.sync((error) => (error === null ? resolved() : rejected(error)));
  });
  for (let number = last - 15; number <= last; number++) apply(number);
  process.stdout.write(`${last}\n`);
  if (random.next() < 0.02) {
    const position = wal.position();
    await store.flush();
    await wal.dropBefore(position);
  }
}
