import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ClientCheck, endpoint, twoTrees } from './client-check.ts';
import { getAsWritten } from './key-names.ts';
import { run } from './shell.ts';
import type { Store } from './store.ts';
import { bytesOf, expectEqual, expectSameTree } from './tree.ts';

export function rcloneEnv(store: Store, folder: string): Record<string, string> {
  const config = join(folder, 'rclone.conf');
  writeFileSync(config, '');
  return {
    RCLONE_CONFIG: config,
    RCLONE_CONFIG_KV_TYPE: 's3',
    RCLONE_CONFIG_KV_PROVIDER: 'Other',
    RCLONE_CONFIG_KV_ACCESS_KEY_ID: store.accessKey,
    RCLONE_CONFIG_KV_SECRET_ACCESS_KEY: store.secretKey,
    RCLONE_CONFIG_KV_ENDPOINT: endpoint(store, 2),
    RCLONE_S3_UPLOAD_CUTOFF: '8M',
    RCLONE_S3_CHUNK_SIZE: '5M',
  };
}

export const RCLONE: ClientCheck = {
  ...{ name: 'rclone', program: 'rclone', package: 'rclone', version: ['version'] },
  async check(store, folder) {
    const { from, back } = twoTrees(folder);
    const env = rcloneEnv(store, folder);
    const clone = (...args: string[]) => run('rclone', args, { env });
    await clone('sync', from, 'kv:rclone/tree');
    await clone('check', '--download', from, 'kv:rclone/tree');
    await clone('sync', 'kv:rclone/tree', back);
    expectSameTree(from, back);
    await clone('copy', 'kv:rclone/tree', 'kv:rclone/copied');
    await clone('check', 'kv:rclone/tree', 'kv:rclone/copied');

    rmSync(join(from, 'many'), { recursive: true });
    await clone('sync', from, 'kv:rclone/tree');
    await clone('sync', 'kv:rclone/tree', back);
    expectSameTree(from, back);
    await clone('move', 'kv:rclone/copied/names', 'kv:rclone/moved');
    await clone('check', join(from, 'names'), 'kv:rclone/moved');

    const bytes = bytesOf('rclone', 12 * 1024 * 1024 + 1);
    await run('rclone', ['rcat', 'kv:rclone/a stream'], { env, input: bytes });
    await clone('copyto', 'kv:rclone/a stream', join(folder, 'streamed'));
    expectEqual(readFileSync(join(folder, 'streamed')).equals(bytes), true, 'a stream comes back');
    const url = (await clone('link', '--expire', '1m', 'kv:rclone/tree/names/plus+plus')).trim();
    const answer = await getAsWritten(url);
    expectEqual(answer.status, 200, 'a link');
    expectEqual(answer.bytes.equals(bytesOf('names/plus+plus', 10)), true, 'what a link brings');
    await clone('purge', 'kv:rclone');
  },
};
