#!/usr/bin/env node
import { processIo } from './io.ts';
import { runProgram } from './program.ts';
import { ownVersion } from './version.ts';

process.exitCode = await runProgram(process.argv.slice(2), processIo(), {
  version: ownVersion(),
  compose: async () => (await import('./compose.ts')).compose,
});
// A library may hold something open that nothing waits for any more.
process.stdout.write('', () => process.exit());
