import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, run } from './shell.ts';
import { REGION, type Store } from './store.ts';
import { expectEqual, expectSameTree, makeTree } from './tree.ts';

/** Programs that know nothing of us. Each gets a folder of its own and a store; what throws has failed. */
export interface ClientCheck {
  readonly name: string;
  /** What must be on the PATH, and Debian's package that has it. */
  readonly program: string;
  readonly package: string;
  check(store: Store, folder: string): Promise<void>;
}

function awsEnv({ accessKey, secretKey }: Store): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: accessKey,
    AWS_SECRET_ACCESS_KEY: secretKey,
    AWS_DEFAULT_REGION: REGION,
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

function endpoint(store: Store, i = 0): string {
  return store.endpoints[i % store.endpoints.length]!;
}

function twoTrees(folder: string): { from: string; back: string } {
  const [from, back] = [join(folder, 'from'), join(folder, 'back')];
  makeTree(from);
  mkdirSync(back);
  return { from, back };
}

const awscli: ClientCheck = {
  name: 'awscli',
  program: 'aws',
  package: 'awscli',
  async check(store, folder) {
    const { from, back } = twoTrees(folder);
    const config = join(folder, 'aws.conf');
    // Version 1 of the program presigns with the signature that S3 has ended, unless told not to.
    writeFileSync(config, '[default]\ns3 =\n  signature_version = s3v4\n');
    const options = { env: { ...awsEnv(store), AWS_CONFIG_FILE: config } };
    const aws = (...args: string[]) =>
      run('aws', ['--endpoint-url', endpoint(store), ...args], options);
    await aws('s3', 'mb', 's3://awscli');
    await aws('s3', 'sync', '--no-progress', from, 's3://awscli/tree');
    await aws('s3', 'sync', '--no-progress', 's3://awscli/tree', back);
    expectSameTree(from, back);
    const again = await aws('s3', 'sync', '--no-progress', from, 's3://awscli/tree');
    expectEqual(again.trim(), '', 'a second sync copies nothing');
    await aws('s3', 'mv', '--no-progress', 's3://awscli/tree/one.bin', 's3://awscli/moved.bin');
    const listed = await aws('s3', 'ls', 's3://awscli/');
    expectEqual(/PRE tree\//.test(listed) && /moved\.bin/.test(listed), true, 's3 ls');
    const url = (await aws('s3', 'presign', 's3://awscli/tree/notes/read me first.txt')).trim();
    const answer = await fetch(url);
    expectEqual(answer.status, 200, 'a presigned GET');
    const bytes = Buffer.from(await answer.arrayBuffer());
    expectEqual(
      bytes.equals(readFileSync(join(from, 'notes/read me first.txt'))),
      true,
      'what a presigned GET brings',
    );
    await aws('s3', 'rb', '--force', 's3://awscli');
  },
};

const boto3: ClientCheck = {
  name: 'boto3',
  program: 'python3',
  package: 'python3-boto3',
  async check(store, folder) {
    const script = new URL('./boto3_check.py', import.meta.url).pathname;
    const env = { ...awsEnv(store), ENDPOINT: endpoint(store, 1), FOLDER: folder };
    await run('python3', [script], { env });
  },
};

const rclone: ClientCheck = {
  name: 'rclone',
  program: 'rclone',
  package: 'rclone',
  async check(store, folder) {
    const { from, back } = twoTrees(folder);
    const env = {
      RCLONE_CONFIG: join(folder, 'rclone.conf'),
      RCLONE_CONFIG_KV_TYPE: 's3',
      RCLONE_CONFIG_KV_PROVIDER: 'Other',
      RCLONE_CONFIG_KV_ACCESS_KEY_ID: store.accessKey,
      RCLONE_CONFIG_KV_SECRET_ACCESS_KEY: store.secretKey,
      RCLONE_CONFIG_KV_ENDPOINT: endpoint(store, 2),
      RCLONE_S3_UPLOAD_CUTOFF: '8M',
      RCLONE_S3_CHUNK_SIZE: '5M',
    };
    writeFileSync(join(folder, 'rclone.conf'), '');
    const clone = (...args: string[]) => run('rclone', args, { env });
    await clone('sync', from, 'kv:rclone/tree');
    await clone('check', '--download', from, 'kv:rclone/tree');
    await clone('sync', 'kv:rclone/tree', back);
    expectSameTree(from, back);
    await clone('copy', 'kv:rclone/tree', 'kv:rclone/copied');
    await clone('check', 'kv:rclone/tree', 'kv:rclone/copied');
    await clone('purge', 'kv:rclone');
  },
};

const s3cmd: ClientCheck = {
  name: 's3cmd',
  program: 's3cmd',
  package: 's3cmd',
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
    const cmd = (...args: string[]) => run('s3cmd', ['-c', config, '--no-progress', ...args]);
    await cmd('mb', 's3://s3cmd');
    await cmd('sync', `${from}/`, 's3://s3cmd/tree/');
    await cmd('sync', 's3://s3cmd/tree/', `${back}/`);
    expectSameTree(from, back);
    await cmd('cp', 's3://s3cmd/tree/one.bin', 's3://s3cmd/copied.bin');
    await cmd('info', 's3://s3cmd/copied.bin');
    await cmd('del', '--recursive', '--force', 's3://s3cmd');
    await cmd('rb', 's3://s3cmd');
  },
};

const restic: ClientCheck = {
  name: 'restic, a node killed between backup and restore',
  program: 'restic',
  package: 'restic',
  async check(store, folder) {
    const { from, back } = twoTrees(folder);
    const env = {
      ...awsEnv(store),
      RESTIC_REPOSITORY: `s3:${endpoint(store)}/restic`,
      RESTIC_PASSWORD: 'a password',
      RESTIC_CACHE_DIR: join(folder, 'cache'),
    };
    await run('restic', ['init'], { env });
    await run('restic', ['backup', '.'], { env, cwd: from });
    await run('restic', ['check', '--read-data'], { env });
    store.kill?.(store.endpoints.length - 1);
    await run('restic', ['restore', 'latest', '--target', back], { env });
    expectSameTree(from, back);
    await run('restic', ['check', '--read-data'], { env });
  },
};

const s3fs: ClientCheck = {
  name: 's3fs',
  program: 's3fs',
  package: 's3fs',
  async check(store, folder) {
    const { from } = twoTrees(folder);
    const mount = join(folder, 'mount');
    mkdirSync(mount);
    const env = awsEnv(store);
    await run('aws', ['--endpoint-url', endpoint(store), 's3', 'mb', 's3://s3fs'], { env });
    const options = `url=${endpoint(store)},use_path_request_style,endpoint=${REGION},retries=3`;
    const s3fsEnv = { AWSACCESSKEYID: store.accessKey, AWSSECRETACCESSKEY: store.secretKey };
    await run('s3fs', ['s3fs', mount, '-o', options], { env: s3fsEnv });
    try {
      await run('cp', ['-r', from, join(mount, 'tree')]);
      await run('mv', [join(mount, 'tree/one.bin'), join(mount, 'tree/renamed.bin')]);
      await run('mv', [join(mount, 'tree/renamed.bin'), join(mount, 'tree/one.bin')]);
      await run('diff', ['-r', from, join(mount, 'tree')]);
    } finally {
      await attempt('umount', ['-l', mount]);
    }
  },
};

/** The one that kills a node comes last. */
export const CLIENTS: readonly ClientCheck[] = [awscli, boto3, rclone, s3cmd, s3fs, restic];
