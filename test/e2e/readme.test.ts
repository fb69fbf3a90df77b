import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The shell lines under a heading of the README. */
function readmeLines(heading: string): string {
  const readme = readFileSync(`${ROOT}/README.md`, 'utf8');
  const from = readme.indexOf(`### ${heading}\n`);
  const block = /^```sh\n([\s\S]*?)^```/m.exec(readme.slice(from))?.[1];
  if (from < 0 || block === undefined) throw new Error(`the README has no lines for ${heading}`);
  return block;
}

/** Each answer on a line of its own; a query that comes before its index is built is asked again. */
const CURL = `curl() {
  local answer
  for _ in $(seq 200); do
    answer=$(command curl -s "$@")
    case "$answer" in *index_building*) sleep 0.05 ;; *) break ;; esac
  done
  printf '%s\\n' "$answer"
}
`;

describe('the README, line by line', () => {
  let cluster: ProcessCluster;
  beforeAll(async () => {
    cluster = await ProcessCluster.start({ nodes: 1 });
  });
  afterAll(() => cluster.dispose());

  it('indexes and search run as printed, and answer what is said of them', async () => {
    const lines = readmeLines('Indexes and search');
    const { host } = new URL(cluster.node(0).url);
    const program = CURL + lines.replaceAll('localhost:8090', host);
    const { stdout } = await promisify(execFile)('bash', ['-e', '-c', program]);
    const answers = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(answers).toHaveLength(12);
    const keysOf = ({ items }: { items: { key: string }[] }) => items.map(({ key }) => key);
    const [ada, liv, byCity, byMail, text, shown, oslo, gone, past, mails, eve, london] = answers;
    for (const written of [ada, liv]) expect(written.version).toBe(1);
    expect([byCity.name, byMail.name, text.name]).toEqual(['by-city', 'by-mail', 'text']);
    expect([byCity.unique, byMail.unique]).toEqual([false, true]);
    expect(shown).toMatchObject({ name: 'by-city', progress: expect.anything() });
    expect(keysOf(oslo)).toEqual(['people/liv']);
    expect(gone).toMatchObject({ deleted: true });
    expect(keysOf(past)).toEqual(['people/liv']);
    expect(past.revision).toBeLessThan(gone.revision);
    expect(past).toHaveProperty('explain');
    expect(keysOf(mails)).toEqual(['people/ada']);
    expect(eve).toMatchObject({ status: 409, code: 'duplicate', holder: 'people/ada' });
    expect(keysOf(london)).toEqual(['people/ada']);
  });
});
