import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

test.each([
  ['bench/demo.ts', '--help', 0],
  ['bench/demo.ts', '--hlep', 2],
  ['bench/soak/main.ts', '--hlep', 2],
  ['bench/soak/main.ts', '--nodes=2', 2],
  ['bench/main.ts', '--only=foo', 2],
])(
  '%s %s prints its usage and ends with %i',
  (script, flag, code) => {
    const done = spawnSync(process.execPath, ['--import', 'tsx', script, flag], {
      encoding: 'utf8',
    });
    const output = done.stdout + done.stderr;
    expect(done.status, output).toBe(code);
    expect(output).toMatch(/npm run (demo|soak|bench) --/);
    expect(output).not.toMatch(/^\s+at /m);
  },
  60_000,
);
