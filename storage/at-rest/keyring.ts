import type { Random } from '../../protocol/random.ts';
import { crc32c } from '../checksum.ts';
import { type Disk, mayPass } from '../disk/port.ts';
import { IDENTITY_PATH } from '../identity.ts';
import { derivedKey, KEY_BYTES, open, seal, TAG_BYTES } from './aead.ts';
import { FolderKeys } from './folder-keys.ts';

/** Two copies, since without its data keys a folder is lost. */
export const KEYRING_PATHS = ['encryption/keyring', 'encryption/keyring.copy'] as const;
/** What a folder that is in use has at least one of. */
const USED = ['wal', 'state', 'blobs', 'snapshots'];
const FORMAT = 1;
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

interface Keyring {
  /** Drawn with the folder's first data key; hex. */
  readonly folderId: string;
  readonly keys: readonly WrappedKey[];
}

interface WrappedKey {
  readonly number: number;
  readonly masterId: string;
  /** Base64 of salt, ciphertext, tag. */
  readonly wrapped: string;
}

/** A folder that cannot be opened with what was configured; the message says what to do. */
export class AtRestError extends Error {
  override readonly name = 'AtRestError';
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
  /** Data keys that were wrapped anew, since another master key is the current one. */
  readonly rewrapped: number;
}

/**
 * The data keys of a folder, or null for one that is kept in clear. Before anything else is read or written: a new
 * folder gets its first data key here. Throws AtRestError when the folder cannot be opened so.
 */
export async function openKeyring(parts: KeyringParts): Promise<OpenedKeyring | null> {
  const { disk, masters, isWanted, random } = parts;
  const found = await load(disk);
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
    return { keys: await birth(disk, masters, random), rewrapped: 0 };
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
  if (others.length > 0) {
    const keys = [...unwrapped].map(([number, key]) =>
      wrap(masters, folderId, { number, key }, random),
    );
    await save(disk, { folderId, keys });
  } else if (!found.isTwice) await heal(disk, found.keyring);
  return { keys: new FolderKeys(unwrapped), rewrapped: others.length };
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

async function birth(disk: Disk, masters: MasterKeys, random: Random): Promise<FolderKeys> {
  const folderId = Buffer.from(random.bytes(FOLDER_ID_BYTES)).toString('hex');
  const key = random.bytes(KEY_BYTES);
  await save(disk, { folderId, keys: [wrap(masters, folderId, { number: 1, key }, random)] });
  return new FolderKeys(new Map([[1, key]]));
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

/** The copy last: whoever reads finds one that is whole, at any moment. */
async function save(disk: Disk, keyring: Keyring): Promise<void> {
  const body = JSON.stringify({ v: FORMAT, ...keyring });
  const file = Buffer.from(`${checksum(body)}${body}\n`);
  for (const path of KEYRING_PATHS) await disk.writeFileAtomic(path, file);
}

/** A disk that has no room for it now is asked again at the next start. */
async function heal(disk: Disk, keyring: Keyring): Promise<void> {
  await save(disk, keyring).catch((error: unknown) => {
    if (!mayPass(error)) throw error;
  });
}

/** `isTwice`: both copies are the same; else one is damaged, or from before a crash between the two. */
type Found = { readonly keyring: Keyring; readonly isTwice: boolean };

async function load(disk: Disk): Promise<Found | 'absent' | 'damaged'> {
  const files = await Promise.all(KEYRING_PATHS.map((path) => disk.readFile(path)));
  const [first, second] = files;
  const isTwice = first != null && second != null && Buffer.compare(first, second) === 0;
  for (const [i, file] of files.entries()) {
    if (file === null) continue;
    const path = KEYRING_PATHS[i];
    const text = Buffer.from(file).toString('utf8').trimEnd();
    if (text.slice(0, 8) !== checksum(text.slice(8))) continue;
    const { v, folderId, keys } = JSON.parse(text.slice(8)) as Keyring & { v: number };
    if (v !== FORMAT) {
      throw new AtRestError(`${path} was written by another version of minikv (format ${v})`);
    }
    return { keyring: { folderId, keys }, isTwice };
  }
  return first === null && second === null ? 'absent' : 'damaged';
}

function checksum(text: string): string {
  return crc32c(Buffer.from(text)).toString(16).padStart(8, '0');
}
