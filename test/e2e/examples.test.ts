import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { curl, Likeness, sessionsOf } from '../kit/transcript.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const run = promisify(execFile);

/** What the documents show, run as it is printed there. */
describe('the examples in the documents', () => {
  let cluster: ProcessCluster;
  let url: string;
  beforeAll(async () => {
    cluster = await ProcessCluster.start({ nodes: 1 });
    ({ url } = cluster.node(0));
  });
  afterAll(() => cluster.dispose());

  it('README: keys, batches, leases, locks and transactions answer what is printed', async () => {
    const steps = sessionsOf(read('README.md')).filter(({ command }) => command.startsWith('curl'));
    const commands = steps.map(({ command }) => command).join('\n');
    for (const path of ['/v1/batch', '/v1/leases', '/v1/locks', '/v1/txn', '/v1/kv?prefix=']) {
      expect(commands).toContain(path);
    }
    const likeness = new Likeness();
    for (const { command, printed } of steps) {
      const text = await curl(likeness.translate(command), url);
      const isJson = printed.startsWith('{');
      const difference = likeness.difference(
        isJson ? JSON.parse(printed) : printed,
        isJson ? JSON.parse(text) : text,
      );
      expect(difference, command).toBeNull();
    }
  });

  it('client/README.md: each program prints what stands in its last line', async () => {
    const programs = [...read('client/README.md').matchAll(/^```js\n([\s\S]*?)^```/gm)]
      .map(([, program]) => program as string)
      .filter((program) => program.includes('console.log'));
    expect(programs.length).toBe(2);
    for (const program of programs) {
      expect(program.trim().split('\n').length).toBeLessThanOrEqual(10);
      const [, printed] = /\/\/ (.*)\n$/.exec(program) ?? [];
      const at = program.replace('createClient()', `createClient({ endpoints: '${url}' })`);
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', at], {
        cwd: ROOT,
      });
      expect(stdout).toBe(`${printed}\n`);
    }
  });

  it('docs/cli.md: transactions from a file and from a pipe, leases', async () => {
    const text = read('docs/cli.md');
    const folder = mkdtempSync(join(tmpdir(), 'minikv-examples-'));
    try {
      const program = join(folder, 'minikv');
      const main = join(ROOT, 'dist/cli/main.js');
      writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
      chmodSync(program, 0o755);
      const [, json] = /^```json\n([\s\S]*?)^```/m.exec(text) ?? [];
      writeFileSync(join(folder, 'move.json'), json as string);
      const env = { ...process.env, MINIKV_ENDPOINT: url };
      const path = `${folder}:${process.env['PATH']}`;
      const shell = async (line: string): Promise<string> => {
        const options = { cwd: folder, env: { ...env, PATH: path } };
        return (await run('/bin/sh', ['-c', line], options)).stdout;
      };
      const lines = text.split('\n').map((line) => line.trim());
      await shell('minikv put from 10');
      // Left by the examples of the client library.
      await shell('minikv del to || true');
      for (const line of lines.filter((one) => /\| minikv txn$|^minikv txn -f/.test(one))) {
        expect(await shell(line), line).toMatch(/^then, at revision \d+\n/);
      }
      expect(await shell('minikv get to')).toBe('3');
      const [grant, ...rest] = lines.filter((one) => /^minikv .*lease (?!list)|--lease /.test(one));
      expect(rest.length).toBe(3);
      const [id] = /\d{4,}/.exec(await shell(grant as string)) ?? [];
      for (const line of rest) await shell(line.replace(/\d{10,}/, id as string));
      await expect(shell('minikv get workers/7')).rejects.toThrow('workers/7');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);
});
