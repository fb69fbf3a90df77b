import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../cli/system-clock.ts';
import { systemRandom } from '../../cli/system-random.ts';
import { seededRandom } from '../../protocol/random.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { FolderKeys } from '../../storage/at-rest/folder-keys.ts';
import { SealedEngine } from '../../storage/at-rest/sealed-engine.ts';
import { openClassicEngine } from '../../storage/kv/classic-engine.ts';
import { CODEC_NAMES, type CodecName, codecOf } from '../../storage/kv/codecs.ts';
import { CompressedEngine } from '../../storage/kv/compressed-engine.ts';
import { currentKey, generationPrefix } from '../../storage/kv/keyspace.ts';
import { encodeVersion } from '../../storage/kv/rows.ts';
import { unpacked, ValueCompression } from '../../storage/kv/value-compression.ts';

/**
 * What compression of values costs and saves: processor time per row, and the bytes of LevelDB's tables once they are
 * merged, in clear and sealed. Values are JSON of users, and random bytes. `npx tsx bench/micro/compression.ts [--mib 8]`:
 * so much of each.
 */
const { values: args } = parseArgs({ options: { mib: { type: 'string', default: '8' } } });
const BYTES = Number(args.mib) * 1024 * 1024;
const clock = systemClock({ holdOpen: true });
const prefix = generationPrefix(1 as GroupId, 1);

const user = (i: number) => ({
  ...{ id: `user-${i}`, email: `person${i * 7}@example.org`, active: i % 2 === 0 },
  ...{ created: new Date(1.7e12 + i * 1_000).toISOString(), roles: ['reader', 'writer'] },
  score: (i * 7_919) % 10_007,
});
const users = (count: number) => (i: number) =>
  Buffer.from(JSON.stringify(Array.from({ length: count }, (_, k) => user(i * count + k))));
const CORPORA: Readonly<Record<string, (i: number) => Uint8Array>> = {
  'JSON, 1 user': users(1),
  'JSON, 2 users': users(2),
  'JSON, 8 users': users(8),
  'JSON, 64 users': users(64),
  'random, 1 KiB': (i) => seededRandom(i, 'row').bytes(1_024),
  'random, 64 KiB': (i) => seededRandom(i, 'row').bytes(65_536),
};

function rowsOf(value: (i: number) => Uint8Array): { key: string; value: Uint8Array }[] {
  const rows = [];
  for (let i = 0, bytes = 0; bytes < BYTES; i++) {
    const revision = (i + 1) as Revision;
    const head = { revision, createRevision: revision, version: 1, expiresAtMs: null };
    const row = encodeVersion({ ...head, contentType: 'application/json', value: value(i) });
    rows.push({ key: currentKey(prefix, `default\0kv\0k${i}`), value: row });
    bytes += row.length;
  }
  return rows;
}

function perRowUs(rows: readonly unknown[], work: () => void): number {
  work(); // warm
  const begin = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / rows.length;
}

async function onDisk(
  rows: readonly { key: string; value: Uint8Array }[],
  compression: ValueCompression,
  isSealed: boolean,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'minikv-compression-'));
  const files = await openClassicEngine(folder, { bootId: 'bench', clock });
  const keys = new FolderKeys(new Map([[1, systemRandom().bytes(32)]]));
  const sealed = isSealed
    ? new SealedEngine(files, keys, { random: systemRandom(), clock })
    : files;
  const engine = new CompressedEngine(sealed, compression, clock);
  for (let i = 0; i < rows.length; i += 500) await engine.write(rows.slice(i, i + 500));
  await engine.flush();
  await engine.compact('', '\xff'.repeat(64));
  await engine.close();
  const tables = readdirSync(folder).filter((name) => name.endsWith('.ldb'));
  const bytes = tables.reduce((all, name) => all + statSync(join(folder, name)).size, 0);
  rmSync(folder, { recursive: true });
  return bytes;
}

for (const [name, value] of Object.entries(CORPORA)) {
  const rows = rowsOf(value);
  const clear = rows.reduce((all, row) => all + row.value.length, 0);
  const mean = Math.round(clear / rows.length);
  const codecs: (CodecName | null)[] = [
    null,
    ...CODEC_NAMES.filter((codec) => codecOf(codec) !== null),
  ];
  for (const codec of codecs) {
    const compression = new ValueCompression(codec === null ? [] : [{ prefix: '', codec }]);
    let packed: Uint8Array[] = [];
    const packUs = perRowUs(rows, () => {
      packed = rows.map((row) => compression.pack(row.key, row.value));
    });
    const unpackUs = perRowUs(rows, () => {
      for (const [i, row] of rows.entries()) unpacked(row.key, packed[i] as Uint8Array);
    });
    const share = packed.reduce((all, row) => all + row.length, 0) / clear;
    const disk = await onDisk(rows, compression, false);
    const sealed = await onDisk(rows, compression, true);
    const mib = (bytes: number) => (bytes / 1024 / 1024).toFixed(2);
    console.log(
      `${name} (${mean} B a row), ${codec ?? 'none'}: ${(share * 100).toFixed(0)} %, ` +
        `pack ${packUs.toFixed(1)} us, unpack ${unpackUs.toFixed(1)} us, ` +
        `on disk ${mib(disk)} MiB, sealed ${mib(sealed)} MiB`,
    );
  }
}
