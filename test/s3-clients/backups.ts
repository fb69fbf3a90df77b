import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { awsEnv, type ClientCheck, endpoint, twoTrees } from './client-check.ts';
import { run } from './shell.ts';
import { expectEqual, expectSameTree } from './tree.ts';

const RESTIC: ClientCheck = {
  name: 'restic, a node killed between backup and restore',
  ...{ program: 'restic', package: 'restic', version: ['version'] },
  async check(store, folder) {
    const { from, back } = twoTrees(folder);
    const env = {
      ...awsEnv(store),
      RESTIC_REPOSITORY: `s3:${endpoint(store)}/restic`,
      RESTIC_PASSWORD: 'a password',
      RESTIC_CACHE_DIR: join(folder, 'cache'),
    };
    const restic = (...args: string[]) => run('restic', args, { env });
    await restic('init');
    await run('restic', ['backup', '.'], { env, cwd: from });
    await restic('check', '--read-data');
    rmSync(join(from, 'data/large.bin'));
    writeFileSync(join(from, 'new.txt'), 'what came later');
    await run('restic', ['backup', '.'], { env, cwd: from });
    const pruned = await restic('forget', '--keep-last', '1', '--prune');
    expectEqual(/removing \d+ old packs/.test(pruned), true, 'packs are removed');
    store.kill?.(store.endpoints.length - 1);
    await restic('restore', 'latest', '--target', back);
    expectSameTree(from, back);
    await restic('check', '--read-data');
  },
};

const DUPLICITY: ClientCheck = {
  ...{ name: 'duplicity', program: 'duplicity', package: 'duplicity', version: ['--version'] },
  async check(store, folder) {
    const { from, back } = twoTrees(folder);
    const env = awsEnv(store);
    await run('aws', ['--endpoint-url', endpoint(store), 's3', 'mb', 's3://duplicity'], { env });
    const flags = ['--no-encryption', '--archive-dir', join(folder, 'archive')];
    const at = ['--s3-endpoint-url', endpoint(store), 'boto3+s3://duplicity/host'];
    const [where, url, target] = at as [string, string, string];
    const duplicity = (...args: string[]) =>
      run('duplicity', [...args, ...flags, where, url], { env });
    await duplicity('full', from, target);
    writeFileSync(join(from, 'new.txt'), 'what came later');
    await duplicity('incr', from, target);
    await duplicity('verify', '--compare-data', target, from);
    await duplicity('restore', '--force', target, back);
    expectSameTree(from, back);
  },
};

/** The one that kills a node comes last. */
export const BACKUPS: readonly ClientCheck[] = [DUPLICITY, RESTIC];
