import Table from 'cli-table3';
import { loadConfig } from '../config.ts';
import { shown } from '../config-reader.ts';
import type { Io } from '../io.ts';
import { printJson } from './context.ts';

/** `minikv config print`: every setting and what decided it; secrets are masked. */
export async function configPrint(
  io: Io,
  flags: Readonly<Record<string, string | boolean | undefined>>,
  json: boolean,
): Promise<void> {
  const { settings } = loadConfig({ flags, env: io.env, readFile: io.readFile });
  if (json) {
    const rows = settings.map((setting) => [
      setting.key,
      { value: shown(setting), from: setting.from },
    ]);
    await printJson(io, Object.fromEntries(rows));
    return;
  }
  const table = new Table({ head: ['key', 'value', 'from'], style: { head: [], border: [] } });
  for (const setting of settings) table.push([setting.key, shown(setting) ?? '-', setting.from]);
  await io.out(`${table.toString()}\n`);
}
