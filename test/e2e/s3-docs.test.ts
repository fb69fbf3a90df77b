import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../kit/nats-server.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** The first lines of a language under a heading of docs/s3.md. */
function printed(heading: string, language: string): string {
  const page = readFileSync(join(ROOT, 'docs/s3.md'), 'utf8');
  const from = page.indexOf(`### ${heading}\n`);
  const block = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'm').exec(
    page.slice(from),
  )?.[1];
  if (from < 0 || block === undefined) throw new Error(`docs/s3.md shows nothing for ${heading}`);
  return block;
}

function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('docs/s3.md, as printed', () => {
  let cluster: ProcessCluster;
  let folder: string;
  let s3Url: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'minikv-s3-docs-'));
    const port = await freePort();
    s3Url = `http://127.0.0.1:${port}`;
    cluster = await ProcessCluster.start({
      nodes: 1,
      flags: ['--s3-access-key', 'mykey', '--s3-port', String(port)],
      env: { MINIKV_S3_SECRET_KEY: 'a-secret-of-mine' },
    });
  });
  afterAll(async () => {
    await cluster?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  const here = (text: string): string => text.replaceAll('http://127.0.0.1:9000', s3Url);
  const shell = async (lines: string): Promise<string> => {
    const env = {
      ...{ PATH: process.env['PATH'], HOME: folder, AWS_EC2_METADATA_DISABLED: 'true' },
      RCLONE_CONFIG: join(folder, 'rclone.conf'),
    };
    const { stdout } = await run('bash', ['-e', '-c', here(lines)], { cwd: ROOT, env });
    return stdout;
  };

  it('the AWS SDK for JavaScript', async () => {
    const program = printed('AWS SDK for JavaScript', 'js');
    const [, expected] = /\/\/ (.*)\n$/.exec(program) ?? [];
    expect(expected).toBe('PreconditionFailed');
    const args = ['--input-type=module', '-e', here(program)];
    const { stdout } = await run(process.execPath, args, { cwd: ROOT });
    expect(stdout).toBe(`${expected}\n`);
  });

  it.skipIf(!isInstalled('aws'))(
    'awscli',
    async () => {
      const listed = await shell(printed('awscli', 'sh'));
      expect(listed).toContain('0034-objects-are-rows-of-their-keys-group.md');
      // Version 2 of the program takes a second or two of processor time for each line.
    },
    60_000,
  );

  it.skipIf(!isInstalled('aws'))(
    'awscli, a condition: the second one is refused, by versions that know it',
    async () => {
      const lock = printed('awscli, a condition', 'sh');
      const said = await shell(lock).catch((error: Error) => error.message);
      if (/Unknown options: --if-none-match/.test(said)) return;
      expect(said).toMatch(/"ETag"/);
      await expect(shell(lock)).rejects.toThrow('PreconditionFailed');
    },
    60_000,
  );

  it.skipIf(!isInstalled('curl'))('curl: a file goes in and comes back', async () => {
    const back = await shell(printed('curl', 'sh'));
    expect(back).toBe(readFileSync(join(ROOT, 'README.md'), 'utf8'));
  });

  it.skipIf(!isInstalled('rclone'))('rclone: a tree goes in, and is the same', async () => {
    await shell(printed('rclone', 'sh'));
    // The check of the last line fails where anything differs; this is what it looked at.
    const listed = await shell('rclone lsf minikv:tree/docs/adr');
    expect(listed).toContain('README.md');
  });
});
