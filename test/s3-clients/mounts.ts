import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { type ClientCheck, endpoint, twoTrees } from './client-check.ts';
import { sdk } from './javascript.ts';
import { rcloneEnv } from './rclone.ts';
import { attempt, run } from './shell.ts';
import { REGION } from './store.ts';
import { expectEqual } from './tree.ts';

const S3FS: ClientCheck = {
  ...{ name: 's3fs', program: 's3fs', package: 's3fs', version: ['--version'] },
  async check(store, folder) {
    const { from } = twoTrees(folder);
    const mount = join(folder, 'mount');
    mkdirSync(mount);
    await sdk(store, 0).send(new CreateBucketCommand({ Bucket: 's3fs' }));
    const options = `url=${endpoint(store)},use_path_request_style,endpoint=${REGION},retries=3`;
    const env = { AWSACCESSKEYID: store.accessKey, AWSSECRETACCESSKEY: store.secretKey };
    await run('s3fs', ['s3fs', mount, '-o', options], { env });
    try {
      await run('cp', ['-r', from, join(mount, 'tree')]);
      await run('mv', [join(mount, 'tree/one.bin'), join(mount, 'tree/renamed.bin')]);
      await run('mv', [join(mount, 'tree/renamed.bin'), join(mount, 'tree/one.bin')]);
      await run('sh', [
        '-c',
        'echo more >> "$1" && echo more >> "$2"',
        'sh',
        ...appended(from, mount),
      ]);
      await run('diff', ['-r', from, join(mount, 'tree')]);
      await run('rm', ['-r', join(mount, 'tree')]);
      expectEqual((await run('ls', [mount])).trim(), '', 'what is left');
    } finally {
      await attempt('umount', ['-l', mount]);
    }
  },
};

function appended(from: string, mount: string): string[] {
  return [join(from, 'notes/read me first.txt'), join(mount, 'tree/notes/read me first.txt')];
}

const RCLONE_MOUNT: ClientCheck = {
  ...{ name: 'rclone mount', program: 'rclone', package: 'rclone', version: ['version'] },
  async check(store, folder) {
    await run('sh', ['-c', 'command -v fusermount fusermount3']);
    const { from } = twoTrees(folder);
    const mount = join(folder, 'mount');
    mkdirSync(mount);
    const env = rcloneEnv(store, folder);
    await run('rclone', ['sync', from, 'kv:rclone-mount/tree'], { env });
    await run('rclone', ['mount', 'kv:rclone-mount', mount, '--daemon'], { env });
    try {
      await run('diff', ['-r', from, join(mount, 'tree')]);
      const tail = await run('tail', ['-c', '100000', join(mount, 'tree/data/large.bin')]);
      expectEqual(tail.length > 0, true, 'the end of a large file');
    } finally {
      await attempt('umount', ['-l', mount]);
    }
    await run('rclone', ['purge', 'kv:rclone-mount'], { env });
  },
};

export const MOUNTS: readonly ClientCheck[] = [S3FS, RCLONE_MOUNT];
