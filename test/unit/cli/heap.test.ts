import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { HEAP_FLAG } from '../../../cli/heap.ts';

const HEAP = fileURLToPath(new URL('../../../cli/heap.ts', import.meta.url));

/** 32 MB stay alive while 2 GB of garbage outlive a few scavenges; prints the largest heap, MB. */
const PROGRAM = `
  const { boundHeapGrowth } = await import(process.argv[1]);
  if (process.argv[2] === 'bound') boundHeapGrowth();
  const slots = Array.from({ length: 512 }, () => new Array(8192).fill(0.5));
  let largest = 0;
  for (let i = 0; i < 30_000; i++) {
    slots[(i * 7) % 512] = new Array(8192).fill(i + 0.5);
    largest = Math.max(largest, process.memoryUsage().heapUsed);
  }
  console.log(Math.round(largest / 1e6));
`;

function largestHeapMb(mode: 'bound' | 'free'): number {
  const flags = ['--import', 'tsx', '--input-type=module', '-e', PROGRAM, HEAP, mode];
  return Number(execFileSync(process.execPath, flags, { encoding: 'utf8' }));
}

describe('heap growth', () => {
  it('has an option in this version of Node', () => {
    const options = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
    expect(options).toContain(`${HEAP_FLAG} `);
  });

  it('is bounded by it', () => {
    expect(largestHeapMb('bound')).toBeLessThan(largestHeapMb('free'));
  }, 60_000);
});
