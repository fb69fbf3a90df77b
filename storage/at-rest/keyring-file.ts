import { crc32c } from '../checksum.ts';
import { type Disk, mayPass } from '../disk/port.ts';

/** Two copies, since without its data keys a folder is lost. */
export const KEYRING_PATHS = ['encryption/keyring', 'encryption/keyring.copy'] as const;
const FORMAT = 1;

/** A folder that cannot be opened with what was configured; the message says what to do. */
export class AtRestError extends Error {
  override readonly name = 'AtRestError';
}

export interface Keyring {
  /** Drawn with the folder's first data key; hex. */
  readonly folderId: string;
  readonly keys: readonly WrappedKey[];
}

export interface WrappedKey {
  readonly number: number;
  readonly masterId: string;
  /** Base64 of salt, ciphertext, tag. */
  readonly wrapped: string;
}

/** The copy last: whoever reads finds one that is whole, at any moment. */
export async function saveKeyring(disk: Disk, keyring: Keyring): Promise<void> {
  const body = JSON.stringify({ v: FORMAT, ...keyring });
  const file = Buffer.from(`${checksum(body)}${body}\n`);
  for (const path of KEYRING_PATHS) await disk.writeFileAtomic(path, file);
}

/** A disk that has no room for it now is asked again at the next start. */
export async function healKeyring(disk: Disk, keyring: Keyring): Promise<void> {
  await saveKeyring(disk, keyring).catch((error: unknown) => {
    if (!mayPass(error)) throw error;
  });
}

/** `isTwice`: both copies are the same; else one is damaged, or from before a crash between the two. */
export type FoundKeyring = { readonly keyring: Keyring; readonly isTwice: boolean };

export async function loadKeyring(disk: Disk): Promise<FoundKeyring | 'absent' | 'damaged'> {
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
