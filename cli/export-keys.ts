import type { RootKeys } from '../gateways/encryption/root-keys.ts';
import { CommandFailed, UsageError } from './failures.ts';
import type { Io } from './io.ts';
import { keysFrom } from './root-keys.ts';

const VARIABLE = 'MINIKV_EXPORT_KEY';
const WAYS = { text: VARIABLE, file: '--encryption-key-file', command: '--encryption-key-command' };

export interface ExportKeyFlags {
  readonly encrypt?: boolean;
  readonly encryptionKeyFile?: string;
  readonly encryptionKeyCommand?: string;
}

/** Keys of encrypted exports: the first one seals, all of them open. Null: none was given. */
export async function exportKeys(io: Io, flags: ExportKeyFlags): Promise<RootKeys | null> {
  const { encryptionKeyFile: file = null, encryptionKeyCommand: command = null } = flags;
  if (file !== null && command !== null) {
    throw new UsageError(`${WAYS.file} and ${WAYS.command} do not go together`);
  }
  const text = file === null && command === null ? io.env[VARIABLE] || null : null;
  try {
    return await keysFrom({ text, file, command }, WAYS);
  } catch (error) {
    throw new CommandFailed((error as Error).message, {}, error);
  }
}

/** Who names a key wants it used; one in the environment is there for when it is needed. */
export function isKeyNamed({ encryptionKeyFile, encryptionKeyCommand }: ExportKeyFlags): boolean {
  return encryptionKeyFile !== undefined || encryptionKeyCommand !== undefined;
}

/** Null: the export is wanted in clear. */
export async function keysToSeal(io: Io, flags: ExportKeyFlags): Promise<RootKeys | null> {
  if (flags.encrypt !== true && !isKeyNamed(flags)) return null;
  const keys = await exportKeys(io, flags);
  if (keys !== null) return keys;
  throw new UsageError(`--encrypt needs a key: ${WAYS.file}, ${WAYS.command} or ${VARIABLE}`);
}
