import { assert } from '../../protocol/assert.ts';
import type { Random } from '../../protocol/random.ts';
import type { Disk } from '../disk/port.ts';
import { IDENTITY_PATH } from '../identity.ts';
import { derivedKey, KEY_BYTES, open, seal, TAG_BYTES } from './aead.ts';
import { FolderKeys } from './folder-keys.ts';
import {
  AtRestError,
  healKeyring,
  KEYRING_PATHS,
  loadKeyring,
  saveKeyring,
  type WrappedKey,
} from './keyring-file.ts';

/** What a folder that is in use has at least one of. */
const USED = ['wal', 'state', 'blobs', 'snapshots'];
const PURPOSE = 'data at rest';
const SALT_BYTES = 32;
const FOLDER_ID_BYTES = 16;
const NONCE = Buffer.alloc(12);

/** The master keys of the cluster: the current one wraps, all of them unwrap. A key of its own per purpose. */
export interface MasterKeys {
  readonly currentId: string;
  /** Null: there is no such master key here. */
  purpose(masterId: string, purpose: string): Uint8Array | null;
}

export interface KeyringParts {
  readonly disk: Disk;
  readonly random: Random;
  /** Null: none was configured. */
  readonly masters: MasterKeys | null;
  /** A new folder is to be sealed. One that is sealed is opened so whatever is wanted. */
  readonly isWanted: boolean;
}

export interface OpenedKeyring {
  readonly keys: FolderKeys;
  readonly ring: DataKeyring;
  /** Data keys that were wrapped anew, since another master key is the current one. */
  readonly rewrapped: number;
}

/**
 * The data keys of a folder, or null for one that is kept in clear. Before anything else is read or written: a new
 * folder gets its first data key here. Throws AtRestError when the folder cannot be opened so.
 */
export async function openKeyring(parts: KeyringParts): Promise<OpenedKeyring | null> {
  const { disk, masters, isWanted, random } = parts;
  const found = await loadKeyring(disk);
  if (found === 'damaged') {
    throw new AtRestError(
      `both copies of the folder's wrapped data keys are damaged (${KEYRING_PATHS.join(', ')}): ` +
        'put one of them back from a backup, or let the node return with an empty folder',
    );
  }
  if (found === 'absent') {
    if (!isWanted) return null;
    if (await isUsed(disk)) {
      throw new AtRestError(
        'encryption-at-rest is set, and the data folder was written without it: start the node with an ' +
          'empty folder, which is filled from the others, or without encryption-at-rest',
      );
    }
    if (masters === null) throw new AtRestError(`encryption-at-rest needs a root key: ${WAYS}`);
    const folderId = Buffer.from(random.bytes(FOLDER_ID_BYTES)).toString('hex');
    const ring = new DataKeyring(disk, random, { folderId, masters, keys: new Map() });
    const keys = new FolderKeys(new Map([[1, await ring.begin()]]));
    return { keys, ring, rewrapped: 0 };
  }
  if (masters === null) {
    const ids = [...new Set(found.keyring.keys.map(({ masterId }) => masterId))].join(', ');
    throw new AtRestError(
      `the data folder is encrypted under root key ${ids}, and none is configured: ${WAYS}`,
    );
  }
  const { folderId, keys: wrapped } = found.keyring;
  const unwrapped = new Map(wrapped.map((key) => [key.number, unwrap(masters, folderId, key)]));
  const others = wrapped.filter(({ masterId }) => masterId !== masters.currentId);
  const ring = new DataKeyring(disk, random, { folderId, masters, keys: unwrapped });
  if (others.length > 0) await ring.rewrap(masters);
  else if (!found.isTwice) await healKeyring(disk, found.keyring);
  return { keys: new FolderKeys(unwrapped), ring, rewrapped: others.length };
}

/** The numbers of values have so many bits of room. */
const NUMBER_MAX = 0xffff;

/** The data keys as they are kept. What rejects has changed nothing that counts: it may be done again. One call at a time. */
export class DataKeyring {
  readonly #disk: Disk;
  readonly #random: Random;
  readonly #folderId: string;
  #masters: MasterKeys;
  #keys: ReadonlyMap<number, Uint8Array>;

  constructor(
    disk: Disk,
    random: Random,
    state: {
      readonly folderId: string;
      readonly masters: MasterKeys;
      readonly keys: ReadonlyMap<number, Uint8Array>;
    },
  ) {
    this.#disk = disk;
    this.#random = random;
    this.#folderId = state.folderId;
    this.#masters = state.masters;
    this.#keys = state.keys;
  }

  /** A new data key, with the next number: it is kept when this resolves. */
  async begin(): Promise<Uint8Array> {
    const number = Math.max(0, ...this.#keys.keys()) + 1;
    assert(number <= NUMBER_MAX, 'a folder has fewer than 65536 data keys in its life');
    const key = this.#random.bytes(KEY_BYTES);
    await this.#save(this.#masters, new Map([...this.#keys, [number, key]]));
    return key;
  }

  /** Only the newest data key is kept: nothing may be sealed under another one. */
  async drop(): Promise<void> {
    const number = Math.max(...this.#keys.keys());
    await this.#save(this.#masters, new Map([[number, this.#keys.get(number) as Uint8Array]]));
  }

  /** Wraps them anew, under the current one of these. */
  rewrap(masters: MasterKeys): Promise<void> {
    return this.#save(masters, this.#keys);
  }

  async #save(masters: MasterKeys, keys: ReadonlyMap<number, Uint8Array>): Promise<void> {
    const wrapped = [...keys].map(([number, key]) =>
      wrap(masters, this.#folderId, { number, key }, this.#random),
    );
    await saveKeyring(this.#disk, { folderId: this.#folderId, keys: wrapped });
    this.#masters = masters;
    this.#keys = keys;
  }
}

const WAYS =
  'encryption-root-key, encryption-root-key-file or encryption-root-key-command has to give it';

/** Whether there is anything in this folder that a node has written. */
async function isUsed(disk: Disk): Promise<boolean> {
  if ((await disk.readFile(IDENTITY_PATH)) !== null) return true;
  for (const folder of USED) {
    if ((await disk.list(folder)).length > 0) return true;
  }
  return false;
}

function wrap(
  masters: MasterKeys,
  folderId: string,
  { number, key }: { readonly number: number; readonly key: Uint8Array },
  random: Random,
): WrappedKey {
  const masterId = masters.currentId;
  const salt = random.bytes(SALT_BYTES);
  const under = derivedKey(masters.purpose(masterId, PURPOSE) as Uint8Array, 'wrap', salt);
  const { bytes, tag } = seal(under, NONCE, placeOf(folderId, number), key);
  return { number, masterId, wrapped: Buffer.concat([salt, bytes, tag]).toString('base64') };
}

function unwrap(masters: MasterKeys, folderId: string, key: WrappedKey): Uint8Array {
  const { masterId, number, wrapped } = key;
  const under = masters.purpose(masterId, PURPOSE);
  if (under === null) {
    throw new AtRestError(
      `the data folder is encrypted under root key ${masterId}, which is not among the configured ones ` +
        `(the first of them is ${masters.currentId}): put it behind the current one`,
    );
  }
  const sealed = Buffer.from(wrapped, 'base64');
  const salt = sealed.subarray(0, SALT_BYTES);
  const bytes = sealed.subarray(SALT_BYTES, -TAG_BYTES);
  const tag = sealed.subarray(-TAG_BYTES);
  const context = placeOf(folderId, number);
  const opened = open(derivedKey(under, 'wrap', salt), NONCE, context, { bytes, tag });
  if (opened?.length === KEY_BYTES) return opened;
  throw new AtRestError(
    `data key ${number} of the folder does not open under root key ${masterId}: ` +
      `${KEYRING_PATHS[0]} was changed`,
  );
}

/** A wrapped key is good for this folder and number only. */
function placeOf(folderId: string, number: number): Uint8Array {
  return Buffer.from(`minikv at rest 1 data key ${number} of ${folderId}`);
}
