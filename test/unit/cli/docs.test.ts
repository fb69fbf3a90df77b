import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CONFIG_KEYS, variableOf } from '../../../cli/config-keys.ts';
import { runProgram } from '../../../cli/program.ts';
import { testIo } from './fake-io.ts';

const doc = (name: string): string =>
  readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

async function helpOf(...command: string[]): Promise<string> {
  const io = testIo();
  const compose = async () => Promise.reject(new Error('not asked for'));
  await runProgram([...command, '--help'], io, { version: '0', compose });
  return io.written.out;
}

it('docs/cli.md lists exactly the commands there are', async () => {
  const table = [...doc('cli.md').matchAll(/^\| `([a-z]+)[^`]*` \|/gm)].map(([, name]) => name);
  const help = await helpOf();
  const commands = help.slice(help.indexOf('Commands:')).matchAll(/^ {2}([a-z]+)/gm);
  const names = [...commands].map(([, name]) => name).filter((name) => name !== 'help');
  expect(table.toSorted()).toEqual(names.toSorted());
});

it('every flag in the examples of docs/cli.md exists', async () => {
  const examples = [...doc('cli.md').matchAll(/^ {4}.*(?:minikv|npm run|npm start)\b.*$/gm)];
  expect(examples.length).toBeGreaterThan(20);
  for (const [line] of examples) {
    const [, run, plain] = /npm run ([a-z]+)|minikv (index [a-z]+|[a-z]+)/.exec(line) ?? [];
    const command = run ?? plain ?? 'serve';
    if (command === 'sim') continue;
    const help = await helpOf(...command.split(' '));
    for (const [flag] of line.matchAll(/--[a-z][a-z-]+/g)) expect(help, line).toContain(flag);
  }
});

it('docs/configuration.md has a row for every setting, with its default and variable', () => {
  const rows = doc('configuration.md')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  expect(rows.map((row) => row.split('`')[1])).toEqual(CONFIG_KEYS.map(({ key }) => key));
  CONFIG_KEYS.forEach(({ key, fallback, help }, i) => {
    expect(rows[i]).toContain(`\`${variableOf(key)}\``);
    if (fallback !== null) expect(rows[i]).toContain(`\`${fallback}\``);
    expect(rows[i]).toContain(help);
  });
});
