import { crc32c } from '../checksum.ts';
import type { Disk } from '../disk/port.ts';
import type { ScrubMark } from '../ports.ts';
import { BLOB_FOLDER } from './paths.ts';

const MARK_PATH = `${BLOB_FOLDER}/scrub`;

/** Null when there is none, or none that can be read: the round begins anew. */
export async function loadMark(disk: Disk): Promise<ScrubMark | null> {
  const file = await disk.readFile(MARK_PATH);
  if (file === null) return null;
  const [sum, text = ''] = Buffer.from(file).toString('utf8').split('\n');
  if (sum !== checksum(text)) return null;
  const mark = JSON.parse(text) as ScrubMark;
  return mark;
}

export async function saveMark(disk: Disk, mark: ScrubMark): Promise<void> {
  const text = JSON.stringify(mark);
  await disk.writeFileAtomic(MARK_PATH, Buffer.from(`${checksum(text)}\n${text}`));
}

function checksum(text: string): string {
  return crc32c(Buffer.from(text)).toString(16);
}
