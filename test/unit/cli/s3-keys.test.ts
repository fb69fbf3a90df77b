import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { credentialsOf, s3Keys, shareKeys } from '../../../cli/s3-keys.ts';
import { seededRandom } from '../../../protocol/random.ts';

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'minikv-keys-'));
});
afterEach(() => rm(data, { recursive: true }));

const random = seededRandom(1);
const of = (more: object = {}) =>
  s3Keys({ s3Keys: null, ephemeral: false, data: join(data, 'n1'), ...more }, random);

describe('S3 keys', () => {
  it('are drawn once, kept for nobody else to read, and found again', async () => {
    const made = await of();
    expect(made).toMatchObject({ from: 'new', accessKeyId: expect.stringMatching(/^MK\w{18}$/) });
    expect(made.secretAccessKey).toMatch(/^[\w-]{40}$/);
    const path = join(data, 'n1', 's3-keys.json');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await of()).toEqual({ ...made, from: 'file', path });
  });

  it('of the configuration count, and nothing is kept of them', async () => {
    const given = { accessKeyId: 'MK', secretAccessKey: 'configured' };
    expect(await of({ s3Keys: given })).toEqual({ ...given, from: 'configuration', path: null });
    await expect(stat(join(data, 'n1'))).rejects.toThrow('ENOENT');
    expect(await of({ ephemeral: true })).toMatchObject({ from: 'new', path: null });
    await expect(stat(join(data, 'n1'))).rejects.toThrow('ENOENT');
  });

  it('a damaged file is not replaced by new ones', async () => {
    await of();
    const path = join(data, 'n1', 's3-keys.json');
    await writeFile(path, '{"accessKeyId": ""}');
    await expect(of()).rejects.toThrow('has no S3 keys');
    expect(await readFile(path, 'utf8')).toBe('{"accessKeyId": ""}');
  });

  it('are shared, and known by their id only', async () => {
    const made = await of();
    await shareKeys(made, join(data, 'n2'));
    const other = await of({ data: join(data, 'n2') });
    expect(other).toMatchObject({ accessKeyId: made.accessKeyId, from: 'file' });
    const known = credentialsOf(other);
    expect(await known(made.accessKeyId)).toMatchObject({ secretAccessKey: made.secretAccessKey });
    expect(await known('other')).toBeNull();
  });
});
