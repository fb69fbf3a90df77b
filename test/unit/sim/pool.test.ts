import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pool, type PoolOptions } from '../../sim/pool.ts';

/** Seed 3 fails, and at seed 5 the process ends without a word. */
const WORKER = `
process.on('message', (seed) => {
  if (seed === 5) process.exit(3);
  const report = seed === 3 ? 'seed 3 failed: bad' : null;
  const transactions = { committed: 10, overGroups: 4, aborted: 1 };
  process.send({ seed, line: 'seed ' + seed + ': done', report, virtualMs: 1000, transactions });
});
`;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'minikv-pool-'));
  writeFileSync(join(folder, 'worker.mjs'), WORKER);
});
afterAll(() => rmSync(folder, { recursive: true }));

async function run(options: Partial<PoolOptions>): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const pool = new Pool({
    ...{ program: join(folder, 'worker.mjs'), argv: [], workers: 2, first: 1, last: 9 },
    ...{ budgetS: Number.POSITIVE_INFINITY, firstOnly: false, ...options },
    print: (text) => lines.push(...text.split('\n')),
  });
  return { code: await pool.run(), lines };
}

const done = (lines: readonly string[]) =>
  lines.flatMap((line) => /^seed (\d+): done/.exec(line)?.[1] ?? []).map(Number);

describe('a range of seeds over processes', () => {
  it('runs every seed once, and says which failed and how to see them again', async () => {
    const { code, lines } = await run({});
    expect(done(lines).sort()).toEqual([1, 2, 3, 4, 6, 7, 8, 9]);
    expect(code).toBe(1);
    expect(lines).toContain('seed 3 failed: bad');
    expect(lines).toContain('seed 5: FAIL its process ended');
    expect(lines.find((line) => line.startsWith('9 seeds'))).toMatch(/7 ok, 2 failed; .* seeds\/s/);
    expect(lines).toContain('80 transactions, 32 of them over groups; 8 attempts aborted');
    expect(lines.slice(-2)).toEqual([
      '  again: npm run sim -- --seed 3 --trace',
      '  again: npm run sim -- --seed 5 --trace',
    ]);
  });

  it('is 0 when nothing failed, and begins where it was told to', async () => {
    const { code, lines } = await run({ first: 6 });
    expect([code, done(lines).sort()]).toEqual([0, [6, 7, 8, 9]]);
    expect(lines.some((line) => line.includes('--from'))).toBe(false);
  });

  it('says where to go on when it stopped before the end', async () => {
    const { lines } = await run({ first: 1, workers: 1, firstOnly: true });
    expect(done(lines)).toEqual([1, 2, 3]);
    expect(lines.at(-1)).toBe('not all: go on with --from 4');
    expect((await run({ budgetS: -1 })).lines.at(-1)).toBe('not all: go on with --from 1');
  });
});
