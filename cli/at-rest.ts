import { resolve } from 'node:path';
import type { RootKeys } from '../gateways/encryption/root-keys.ts';
import type { Random } from '../protocol/random.ts';
import type { FolderKeys } from '../storage/at-rest/folder-keys.ts';
import { AtRestError, openKeyring } from '../storage/at-rest/keyring.ts';
import { NodeDisk } from '../storage/disk/node-disk.ts';
import type { Config } from './config.ts';
import { isInside } from './root-keys.ts';

type Source = Pick<
  Config,
  'data' | 'ephemeral' | 'encryptionAtRest' | 'rootKeyFile' | 's3Keys' | 'auth' | 'adminKey'
>;

type Log = (text: string, more: Readonly<Record<string, unknown>>) => void;

/**
 * The data keys of the data folder; null for one in clear. Before anything else touches the folder. Throws where it
 * cannot be opened with what is configured, and where a key would lie beside what it locks.
 */
export async function atRestKeys(
  config: Source,
  roots: RootKeys | null,
  { random, log }: { readonly random: Random; readonly log: Log },
): Promise<FolderKeys | null> {
  if (config.ephemeral) return null;
  const isWanted = config.encryptionAtRest;
  if (isWanted) checkBeside(config);
  const disk = new NodeDisk(resolve(config.data));
  const opened = await openKeyring({ disk, random, masters: roots, isWanted });
  if (opened === null) return null;
  checkBeside(config);
  const { keys, rewrapped } = opened;
  if (rewrapped > 0) {
    log('the data keys were wrapped under another root key', {
      rewrapped,
      rootKey: roots?.currentId,
    });
  }
  return keys;
}

/** Keys in the folder itself would be readable there. */
function checkBeside({ data, rootKeyFile, s3Keys, auth, adminKey }: Source): void {
  if (rootKeyFile !== null && isInside(rootKeyFile, data)) {
    throw new AtRestError(
      `${rootKeyFile} (encryption-root-key-file) is in the data folder that it encrypts: keep it elsewhere`,
    );
  }
  if (s3Keys === null) {
    throw new AtRestError(
      'an encrypted data folder keeps no S3 keys in clear: set s3-access-key and s3-secret-key',
    );
  }
  if (auth && adminKey === null) {
    throw new AtRestError(
      'an encrypted data folder keeps no administrator key in clear: set auth-admin-key',
    );
  }
}
