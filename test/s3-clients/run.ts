import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import type { ClientCheck } from './client-check.ts';
import { CLIENTS } from './clients.ts';
import { checkKeyNames, checkLibStorage, checkTerraformLock } from './javascript.ts';
import { checkMinioJs } from './minio-js.ts';
import { attempt } from './shell.ts';
import { type Store, startCluster } from './store.ts';

/**
 * `npm run s3-clients [-- --only rclone,restic]`: real clients, unmodified, against a cluster of three nodes. As root on
 * Debian, what is missing is installed; elsewhere it fails and says which package it wants.
 */
interface Check {
  readonly name: string;
  /** Resolves with what it says of itself, or with null: its program is not there, and is not to be installed. */
  run(store: Store, folder: string): Promise<string | null>;
}

function library(name: string, check: (store: Store, folder: string) => Promise<void>): Check {
  return { name, run: async (...args) => check(...args).then(() => '') };
}

const CHECKS: readonly Check[] = [
  library('aws-sdk, lib-storage', checkLibStorage),
  library('aws-sdk, names of keys', checkKeyNames),
  library('aws-sdk, terraform-style lock, 20 racers', checkTerraformLock),
  library('minio-js', checkMinioJs),
  ...CLIENTS.map((client) => ({
    name: client.name,
    run: async (store: Store, folder: string) => {
      if (!(await isProvided(client))) return null;
      const { output } = await attempt(client.program, client.version);
      await client.check(store, folder);
      return output.trim().split('\n')[0] ?? '';
    },
  })),
];

/** Installs what is missing where that can be done; throws where it fails. */
async function isProvided({ program, package: debianPackage }: ClientCheck): Promise<boolean> {
  if ((await attempt('sh', ['-c', `command -v ${program}`])).code === 0) return true;
  if (debianPackage === null) return false;
  const wanted = ['install', '-y', '--no-install-recommends', debianPackage];
  const { code, output } = await attempt('apt-get', wanted, { timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`needs ${program}: apt-get ${wanted.join(' ')}\n${output}`);
  return true;
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
let [passed, failed, leftOut] = [0, 0, 0];
try {
  for (const check of chosen) {
    const folder = mkdtempSync(join(tmpdir(), 'minikv-s3-client-'));
    const began = performance.now();
    const seconds = (): string => `${((performance.now() - began) / 1000).toFixed(1)} s`;
    try {
      const about = await check.run(store, folder);
      if (about === null) leftOut += 1;
      else passed += 1;
      const outcome = about === null ? 'LEFT OUT, not installed' : 'passed';
      process.stdout.write(`${outcome}  ${check.name}  ${seconds()}  ${about ?? ''}\n`);
    } catch (error) {
      failed += 1;
      process.stdout.write(`FAILED  ${check.name}  ${seconds()}\n${inspect(error)}\n`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
} finally {
  await store.stop();
}
process.stdout.write(`${passed} passed, ${failed} failed, ${leftOut} left out\n`);
process.exitCode = failed === 0 ? 0 : 1;
