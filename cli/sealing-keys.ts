import type { RootKeys } from '../gateways/encryption/root-keys.ts';
import { AppError } from '../protocol/errors.ts';
import type { DataKeyStatus, DataKeys, RootKeyChange } from '../protocol/sealing-keys.ts';
import { AtRestError } from '../storage/at-rest/keyring-file.ts';
import type { KeyRotation } from '../storage/at-rest/rotation.ts';
import type { Config } from './config.ts';
import { configuredRootKeys } from './root-keys.ts';

/** The keys of this node's encrypted data folder, for its administrators; null for a folder in clear. */
export function dataKeysOf(
  config: Pick<Config, 'rootKeys' | 'rootKeyFile' | 'rootKeyCommand'>,
  rotation: KeyRotation | null,
  roots: RootKeys | null,
): DataKeys | null {
  return rotation === null || roots === null ? null : new NodeDataKeys(config, rotation, roots);
}

class NodeDataKeys implements DataKeys {
  readonly #config: Pick<Config, 'rootKeys' | 'rootKeyFile' | 'rootKeyCommand'>;
  readonly #rotation: KeyRotation;
  readonly #roots: RootKeys;

  constructor(
    config: Pick<Config, 'rootKeys' | 'rootKeyFile' | 'rootKeyCommand'>,
    rotation: KeyRotation,
    roots: RootKeys,
  ) {
    this.#config = config;
    this.#rotation = rotation;
    this.#roots = roots;
  }

  status(): DataKeyStatus {
    return this.#rotation.status();
  }

  async rotate(): Promise<DataKeyStatus> {
    try {
      await this.#rotation.begin();
    } catch (error) {
      if (error instanceof AtRestError) throw new AppError('conflict', error.message);
      throw error;
    }
    return this.status();
  }

  async reloadRootKey(): Promise<RootKeyChange> {
    const before = this.#roots.currentId;
    const found = await this.#found();
    if (!found.has(before)) {
      throw new AppError(
        'precondition_failed',
        `root key ${before}, which is in use, is not among those found (the first of them is ` +
          `${found.currentId}): put it behind the new one`,
      );
    }
    // The data keys first: a root key that everything else is wrapped under must not be unknown at the next start.
    await this.#rotation.rewrap(found);
    this.#roots.become(found);
    return { rootKey: found.currentId, before };
  }

  async #found(): Promise<RootKeys> {
    if (this.#config.rootKeys !== null) {
      throw new AppError(
        'precondition_failed',
        'encryption-root-key is read at the start alone: use encryption-root-key-file or -command',
      );
    }
    try {
      return (await configuredRootKeys(this.#config)) as RootKeys;
    } catch (error) {
      throw new AppError('precondition_failed', error instanceof Error ? error.message : 'unread');
    }
  }
}
