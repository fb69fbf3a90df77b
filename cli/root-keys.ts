import { execFile } from 'node:child_process';
import { join, resolve, sep } from 'node:path';
import { KEY_BYTES } from '../gateways/encryption/key-wrap.ts';
import { parseRootKeys, RootKeys } from '../gateways/encryption/root-keys.ts';
import type { Random } from '../protocol/random.ts';
import { makePrivateFolder } from '../storage/disk/private-folder.ts';
import type { Config } from './config.ts';
import { keepSecret, readSecret } from './secret-file.ts';

const FILE = 'root-key';
/** A command that waits longer for its key has hung. */
const COMMAND_MS_MAX = 60_000;
const COMMAND_BYTES_MAX = 64 * 1024;

type Given = Pick<Config, 'rootKeys' | 'rootKeyFile' | 'rootKeyCommand'>;
type Source = Given & Pick<Config, 'ephemeral' | 'data' | 'nats'>;

/** From the configuration: given, in a file, or printed by a command. Null: it says nothing of a root key. */
export async function configuredRootKeys(config: Given): Promise<RootKeys | null> {
  const { rootKeys, rootKeyFile, rootKeyCommand } = config;
  if (rootKeys !== null) return new RootKeys(rootKeys);
  const names = {
    text: 'encryption-root-key',
    file: 'encryption-root-key-file',
    command: 'encryption-root-key-command',
  };
  return keysFrom({ text: null, file: rootKeyFile, command: rootKeyCommand }, names);
}

/** Keys as text, in a file, or printed by a command; null where none of them is given. Errors name what gave them. */
export async function keysFrom(
  given: Readonly<Record<'text' | 'file' | 'command', string | null>>,
  names: Readonly<Record<'text' | 'file' | 'command', string>>,
): Promise<RootKeys | null> {
  const { text, file, command } = given;
  if (text !== null) return parsed(text, names.text);
  if (file !== null) {
    const content = await readSecret(file);
    if (content === null) throw new Error(`${file} (${names.file}) is not there`);
    return parsed(content, file);
  }
  if (command === null) return null;
  return parsed(await printed(command, names.command), `what ${names.command} prints`);
}

/**
 * From the configuration, else the one in the data folder. A node on its own draws one at its first start; one of several
 * does not, since all have to have the same: without one it has no named keys (null).
 */
export async function rootKeys(
  config: Source,
  given: RootKeys | null,
  random: Random,
): Promise<RootKeys | null> {
  if (given !== null) return given;
  const isAlone = config.nats.length === 0;
  if (config.ephemeral) return isAlone ? new RootKeys([random.bytes(KEY_BYTES)]) : null;
  const path = join(resolve(config.data), FILE);
  const text = await readSecret(path);
  const kept = text === null ? null : parsed(text, path);
  if (kept !== null || !isAlone) return kept;
  return parsed(await drawnInto(config.data, random), path);
}

/** Whether a file is in a folder: a key there is stolen with what it locks. */
export function isInside(file: string, folder: string): boolean {
  return `${resolve(file)}${sep}`.startsWith(`${resolve(folder)}${sep}`);
}

/** For all nodes of a cluster: kept beside their folders, and in each of them. */
export async function shareRootKey(
  data: string,
  folders: readonly string[],
  random: Random,
): Promise<void> {
  const kept = await readSecret(join(resolve(data), FILE));
  const text = kept ?? (await drawnInto(data, random));
  for (const folder of folders) {
    await makePrivateFolder(resolve(folder));
    await keepSecret(join(resolve(folder), FILE), text);
  }
}

export function drawnRootKey(random: Random): string {
  return Buffer.from(random.bytes(KEY_BYTES)).toString('base64');
}

async function drawnInto(data: string, random: Random): Promise<string> {
  const text = `${drawnRootKey(random)}\n`;
  await makePrivateFolder(resolve(data));
  await keepSecret(join(resolve(data), FILE), text);
  return text;
}

/** What it prints is a secret: an error tells what the command said on its other stream. */
function printed(command: string, name: string): Promise<string> {
  const options = { timeout: COMMAND_MS_MAX, maxBuffer: COMMAND_BYTES_MAX };
  return new Promise((resolved, rejected) => {
    execFile('/bin/sh', ['-c', command], options, (error, stdout, stderr) => {
      if (error === null) return resolved(stdout);
      const how = error.killed ? 'took too long' : `ended with ${error.code ?? error.signal}`;
      rejected(new Error(`${name} ${how}: ${stderr.trim() || 'it said nothing'}`));
    });
  });
}

function parsed(text: string, path: string): RootKeys {
  const keys = parseRootKeys(text);
  if (keys !== null) return new RootKeys(keys);
  throw new Error(`${path} has no root key: one of 32 bytes, as hex or base64, on each line`);
}
