import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CLIENTS } from './clients.ts';
import { checkLibStorage, checkTerraformLock } from './javascript.ts';
import { attempt } from './shell.ts';
import { type Store, startCluster } from './store.ts';

/**
 * `npm run s3-clients [-- --only rclone,restic]`: real clients, unmodified, against a cluster of three nodes. As root on
 * Debian, what is missing is installed; elsewhere it fails and says which package it wants.
 */
interface Check {
  readonly name: string;
  run(store: Store, folder: string): Promise<void>;
}

const CHECKS: readonly Check[] = [
  { name: 'aws-sdk, lib-storage', run: (store) => checkLibStorage(store) },
  { name: 'terraform-style lock, 20 racers', run: (store) => checkTerraformLock(store) },
  ...CLIENTS.map((client) => ({
    name: client.name,
    run: async (store: Store, folder: string) => {
      await provide(client.program, client.package);
      await client.check(store, folder);
    },
  })),
];

async function provide(program: string, debianPackage: string): Promise<void> {
  if ((await attempt('sh', ['-c', `command -v ${program}`])).code === 0) return;
  const wanted = ['install', '-y', '--no-install-recommends', debianPackage];
  const { code, output } = await attempt('apt-get', wanted, { timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`needs ${program}: apt-get ${wanted.join(' ')}\n${output}`);
}

const { values } = parseArgs({
  options: { only: { type: 'string', default: '' } },
});
const wanted = values.only.split(',').filter((word) => word !== '');
const chosen = CHECKS.filter(
  ({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)),
);
if (chosen.length === 0) throw new Error(`no client is called ${values.only}`);

const store = await startCluster();
let failed = 0;
try {
  for (const check of chosen) {
    const folder = mkdtempSync(join(tmpdir(), 'minikv-s3-client-'));
    const began = performance.now();
    const seconds = (): string => `${((performance.now() - began) / 1000).toFixed(1)} s`;
    try {
      await check.run(store, folder);
      process.stdout.write(`passed  ${check.name}  ${seconds()}\n`);
    } catch (error) {
      failed += 1;
      process.stdout.write(`FAILED  ${check.name}  ${seconds()}\n${String(error)}\n`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
} finally {
  await store.stop();
}
process.stdout.write(`${chosen.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
