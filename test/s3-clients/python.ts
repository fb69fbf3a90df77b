import { join } from 'node:path';
import { awsEnv, type ClientCheck, endpoint } from './client-check.ts';
import { KEY_NAMES } from './key-names.ts';
import { run } from './shell.ts';
import type { Store } from './store.ts';

const SCRIPT = new URL('./boto3_check.py', import.meta.url).pathname;

function boto3(python: string, store: Store, env: Readonly<Record<string, string>>) {
  const keys = { ...awsEnv(store), ENDPOINT: endpoint(store, 1), KEYS: JSON.stringify(KEY_NAMES) };
  return run(python, [SCRIPT], { env: { ...keys, ...env } });
}

const VERSION = ['-c', 'import boto3; print(boto3.__version__)'];

export const PYTHON: readonly ClientCheck[] = [
  {
    ...{ name: 'boto3 of Debian', program: '/usr/bin/python3', package: 'python3-boto3' },
    version: VERSION,
    async check(store, folder) {
      await boto3('/usr/bin/python3', store, { FOLDER: folder, BUCKET: 'boto3-debian' });
    },
  },
  {
    // Since 1.36 it adds a CRC to every upload, in a trailer when it has a stream.
    ...{ name: 'boto3, the newest of pip', program: 'pip', package: 'python3-pip' },
    version: ['--version'],
    async check(store, folder) {
      const installed = join(folder, 'pip');
      await run('pip', ['install', '-q', '--target', installed, 'boto3'], { timeoutMs: 300_000 });
      const env = { FOLDER: folder, BUCKET: 'boto3-pip', PYTHONPATH: installed };
      await boto3('python3', store, env);
    },
  },
];
