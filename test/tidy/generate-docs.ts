import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GENERATED } from './generated.ts';
import { exists, ROOT, read } from './tree.ts';

/** Writes the generated documents. */
function write(path: string, text: string): void {
  if (exists(path) && read(path) === text) return;
  writeFileSync(join(ROOT, path), text);
  process.stdout.write(`wrote ${path}\n`);
}

for (const [path, render] of GENERATED) write(path, render());
