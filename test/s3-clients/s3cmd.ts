import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ClientCheck, endpoint, twoTrees } from './client-check.ts';
import { run } from './shell.ts';
import { bytesOf, expectEqual, expectSameTree } from './tree.ts';

export const S3CMD: ClientCheck = {
  ...{ name: 's3cmd', program: 's3cmd', package: 's3cmd', version: ['--version'] },
  async check(store, folder) {
    const { from, back } = twoTrees(folder);
    const config = join(folder, 's3cfg');
    const host = new URL(endpoint(store)).host;
    writeFileSync(
      config,
      `[default]\naccess_key = ${store.accessKey}\nsecret_key = ${store.secretKey}\n` +
        `host_base = ${host}\nhost_bucket = ${host}\nuse_https = False\n` +
        'signature_v2 = False\nmultipart_chunk_size_mb = 5\n',
    );
    const flags = ['-c', config, '--no-progress'];
    const cmd = (...args: string[]) => run('s3cmd', [...flags, ...args]);
    await cmd('mb', 's3://s3cmd');
    await cmd('sync', `${from}/`, 's3://s3cmd/tree/');
    await cmd('sync', 's3://s3cmd/tree/', `${back}/`);
    expectSameTree(from, back);
    const used = Number(/^\s*(\d+)/.exec(await cmd('du', 's3://s3cmd/tree/'))?.[1]);
    const size = await run('find', [from, '-type', 'f', '-printf', '%s\n']);
    const bytes = size
      .trim()
      .split('\n')
      .reduce((sum, line) => sum + Number(line), 0);
    expectEqual(used, bytes, 'bytes that du counts');

    rmSync(join(from, 'many'), { recursive: true });
    await cmd('sync', '--delete-removed', `${from}/`, 's3://s3cmd/tree/');
    await cmd('sync', '--delete-removed', 's3://s3cmd/tree/', `${back}/`);
    expectSameTree(from, back);

    const stream = bytesOf('s3cmd', 11 * 1024 * 1024 + 9);
    await run('s3cmd', [...flags, 'put', '-', 's3://s3cmd/a stream'], { input: stream });
    await cmd('get', 's3://s3cmd/a stream', join(folder, 'streamed'));
    expectEqual(readFileSync(join(folder, 'streamed')).equals(stream), true, 'a stream comes back');

    await cmd('cp', 's3://s3cmd/tree/one.bin', 's3://s3cmd/copied.bin');
    await cmd('mv', 's3://s3cmd/copied.bin', 's3://s3cmd/moved.bin');
    await cmd('modify', '--add-header=cache-control: max-age=60', 's3://s3cmd/moved.bin');
    await cmd('setacl', '--acl-public', 's3://s3cmd/moved.bin');
    const about = await cmd('info', 's3://s3cmd/moved.bin');
    expectEqual(/ACL:\s+\*anon\*: READ/.test(about), true, `everybody reads, in:\n${about}`);
    const open = await fetch(`${endpoint(store)}/s3cmd/moved.bin`);
    expectEqual(open.status, 200, 'what everybody may read');
    expectEqual(open.headers.get('cache-control'), 'max-age=60', 'the header that was added');
    await cmd('setpolicy', policyFile(folder), 's3://s3cmd');
    await cmd('delpolicy', 's3://s3cmd');
    await cmd('expire', '--expiry-days=30', '--expiry-prefix=old/', 's3://s3cmd');
    expectEqual(/Expiration Rule/.test(await cmd('info', 's3://s3cmd')), true, 'the expiry');
    await cmd('del', '--recursive', '--force', 's3://s3cmd');
    await cmd('rb', 's3://s3cmd');
  },
};

function policyFile(folder: string): string {
  const path = join(folder, 'policy.json');
  const Statement = [
    {
      ...{ Effect: 'Allow', Principal: '*', Action: 's3:GetObject' },
      Resource: 'arn:aws:s3:::s3cmd/open/*',
    },
  ];
  writeFileSync(path, JSON.stringify({ Version: '2012-10-17', Statement }));
  return path;
}
