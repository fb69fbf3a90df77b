import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROTOCOL_VERSION } from '../../protocol/version.ts';
import { GENERATED, wireHash } from './generated.ts';
import { exists, ROOT, read } from './tree.ts';

/** Writes the generated documents, and the wire hash of a protocol version that has none yet. */
function write(path: string, text: string): void {
  if (exists(path) && read(path) === text) return;
  writeFileSync(join(ROOT, path), text);
  process.stdout.write(`wrote ${path}\n`);
}

for (const [path, render] of GENERATED) write(path, render());

const HASHES = 'test/tidy/wire-shapes.json';
const hashes = JSON.parse(exists(HASHES) ? read(HASHES) : '{}') as Record<string, string>;
hashes[PROTOCOL_VERSION] ??= wireHash();
write(HASHES, `${JSON.stringify(hashes, null, 2)}\n`);
