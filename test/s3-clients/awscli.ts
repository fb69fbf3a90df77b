import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { awsEnv, type ClientCheck, endpoint, twoTrees } from './client-check.ts';
import { getAsWritten } from './key-names.ts';
import { run } from './shell.ts';
import type { Store } from './store.ts';
import { bytesOf, expectEqual, expectSameTree } from './tree.ts';

async function check(program: string, bucket: string, store: Store, folder: string): Promise<void> {
  const { from, back } = twoTrees(folder);
  const config = join(folder, 'aws.conf');
  // Version 1 of the program presigns with the signature that S3 has ended, unless told not to.
  writeFileSync(config, '[default]\ns3 =\n  signature_version = s3v4\n');
  const env = { ...awsEnv(store), AWS_CONFIG_FILE: config };
  const aws = (args: readonly string[], input?: Buffer) => {
    const options = input === undefined ? { env } : { env, input };
    return run(program, ['--endpoint-url', endpoint(store), ...args], options);
  };
  const s3 = (...args: string[]) => aws(['s3', ...args]);
  const root = `s3://${bucket}`;
  await s3('mb', root);
  await s3('sync', '--no-progress', from, `${root}/tree`);
  await s3('sync', '--no-progress', `${root}/tree`, back);
  expectSameTree(from, back);
  const again = await s3('sync', '--no-progress', from, `${root}/tree`);
  expectEqual(again.trim(), '', 'a second sync copies nothing');

  rmSync(join(from, 'many'), { recursive: true });
  rmSync(join(from, 'names/plus+plus'));
  await s3('sync', '--no-progress', '--delete', from, `${root}/tree`);
  await s3('sync', '--no-progress', '--delete', `${root}/tree`, back);
  expectSameTree(from, back);

  const bytes = bytesOf('a stream', 19 * 1024 * 1024 + 7);
  await aws(['s3', 'cp', '--no-progress', '-', `${root}/a stream`], bytes);
  const streamed = join(folder, 'streamed');
  const script = '"$@" > "$0"';
  const toPipe = [program, '--endpoint-url', endpoint(store), 's3', 'cp', `${root}/a stream`, '-'];
  await run('sh', ['-c', script, streamed, ...toPipe], { env });
  expectEqual(readFileSync(streamed).equals(bytes), true, 'a stream comes back');

  await s3('mv', '--no-progress', `${root}/tree/one.bin`, `${root}/moved.bin`);
  await s3('mv', '--no-progress', '--recursive', `${root}/tree/names`, `${root}/renamed`);
  const listed = await s3('ls', `${root}/`);
  expectEqual(/PRE tree\//.test(listed) && /moved\.bin/.test(listed), true, 's3 ls');
  for (const key of ['tree/notes/read me first.txt', 'renamed/a folder with + and é/inside']) {
    const url = (await s3('presign', `${root}/${key}`)).trim();
    const answer = await getAsWritten(url);
    expectEqual(answer.status, 200, `a presigned GET of ${key}`);
    const name = key.replace('renamed/', 'names/').replace('tree/', '');
    expectEqual(answer.bytes.equals(readFileSync(join(back, name))), true, 'what it brings');
  }
  await s3('rb', '--force', root);
}

export const AWSCLI: readonly ClientCheck[] = [
  {
    ...{ name: 'awscli on the PATH', program: 'aws', package: 'awscli', version: ['--version'] },
    check: (store, folder) => check('aws', 'awscli', store, folder),
  },
  {
    ...{ name: 'awscli of Debian', program: '/usr/bin/aws', package: 'awscli' },
    version: ['--version'],
    check: (store, folder) => check('/usr/bin/aws', 'awscli-debian', store, folder),
  },
];
