import { resolve } from 'node:path';
import type { RootKeys } from '../gateways/encryption/root-keys.ts';
import type { Telemetry } from '../observability/port.ts';
import type { Clock } from '../protocol/clock.ts';
import type { Random } from '../protocol/random.ts';
import type { FolderKeys } from '../storage/at-rest/folder-keys.ts';
import { openKeyring } from '../storage/at-rest/keyring.ts';
import { AtRestError } from '../storage/at-rest/keyring-file.ts';
import { KeyRotation } from '../storage/at-rest/rotation.ts';
import { NodeDisk } from '../storage/disk/node-disk.ts';
import type { Config } from './config.ts';
import { isInside } from './root-keys.ts';

type Source = Pick<
  Config,
  'data' | 'ephemeral' | 'encryptionAtRest' | 'rootKeyFile' | 's3Keys' | 'auth' | 'adminKey'
>;

/** What an encrypted data folder is sealed with. */
export interface Sealing {
  readonly keys: FolderKeys;
  readonly rotation: KeyRotation;
}

interface Parts {
  readonly random: Random;
  readonly clock: Clock;
  readonly telemetry: Pick<Telemetry, 'log' | 'count' | 'gauge'>;
}

/**
 * The data keys of the data folder; null for one in clear. Before anything else touches the folder. Throws where it
 * cannot be opened with what is configured, and where a key would lie beside what it locks.
 */
export async function atRestKeys(
  config: Source,
  roots: RootKeys | null,
  { random, clock, telemetry }: Parts,
): Promise<Sealing | null> {
  if (config.ephemeral) return null;
  const isWanted = config.encryptionAtRest;
  if (isWanted) checkBeside(config);
  const disk = new NodeDisk(resolve(config.data));
  const opened = await openKeyring({ disk, random, masters: roots, isWanted });
  if (opened === null) return null;
  checkBeside(config);
  const { keys, ring, rewrapped } = opened;
  if (rewrapped > 0) {
    telemetry.log('info', 'the data keys were wrapped under another root key', {
      rewrapped,
      rootKey: roots?.currentId,
    });
  }
  const rotation = new KeyRotation({
    ...{ keys, ring, clock },
    log: (level, text, more) => telemetry.log(level, text, more),
    resealed: (place, count) => telemetry.count('at_rest_resealed', count, { place }),
    counted: (dataKeys) => telemetry.gauge('at_rest_data_keys', dataKeys),
  });
  return { keys, rotation };
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
