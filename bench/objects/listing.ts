/**
 * Pages of listings in a large bucket beside a small one, in one run on one node: time per page over HTTP, turn by turn.
 *
 *   node --import tsx bench/objects/listing.ts [--objects 1000000] [--small 10000] [--pages 40] [--rounds 5]
 *
 * `--data` names a folder (default: one of its own in the system's temporary folder; /dev/shm fills faster); `--keep`
 * leaves it there and takes what it finds, so that two builds list the same data. `--main` takes another build.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../client/random.ts';
import { MAIN } from '../peers/minikv.ts';
import { median, ratioOf, spreadOf } from '../report/statistics.ts';
import { Exchange } from './exchange.ts';
import { DEEP, keyPlan } from './listing-keys.ts';
import { type MinikvS3, startMinikvS3 } from './servers.ts';

const { values: args } = parseArgs({
  options: {
    objects: { type: 'string', default: '1000000' },
    small: { type: 'string', default: '10000' },
    pages: { type: 'string', default: '40' },
    rounds: { type: 'string', default: '5' },
    data: { type: 'string' },
    keep: { type: 'boolean', default: false },
    main: { type: 'string', default: MAIN },
    profile: { type: 'string' },
    only: { type: 'string' },
  },
});

const FILL_CONNECTIONS = 128;
const PAGE_ITEMS = 1_000;
const SIZES = { large: Number(args.objects), small: Number(args.small) } as const;
type Size = keyof typeof SIZES;

/** One kind of page: what is asked for, and whether it goes on from page to page by tokens. */
interface Kind {
  readonly prefix: string;
  readonly delimiter: boolean;
  /** Pages begin behind a drawn key, not at the front. */
  readonly from?: (size: number, random: Random) => string;
  readonly byToken?: boolean;
}

const name = (n: number): string => String(n).padStart(7, '0');
const KINDS: Readonly<Record<string, Kind>> = {
  'objects side by side': {
    ...{ prefix: 'flat/', delimiter: true },
    from: (size, random) => `flat/${name(random.below(size * 0.4))}`,
  },
  'common prefixes of many objects': { prefix: 'shared/', delimiter: true },
  'common prefixes of one object': {
    ...{ prefix: 'own/', delimiter: true },
    from: (size, random) => `own/${name(random.below(size * 0.1))}/`,
  },
  'a deep prefix': { prefix: DEEP, delimiter: true },
  'the root, by delimiter': { prefix: '', delimiter: true },
  'no delimiter': { prefix: '', delimiter: false },
  'by continuation token': { prefix: '', delimiter: false, byToken: true },
  'by token, with a delimiter': { prefix: 'own/', delimiter: true, byToken: true },
};

/** The last object of a bucket that is filled. */
const FILLED = 'zz-filled';

async function fill(server: MinikvS3, size: Size): Promise<void> {
  const { host, port } = server.target;
  let first = new Exchange(server.target);
  const ask = async (method: string, path: string): Promise<number> => {
    const head = `${method} ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nContent-Length: 0\r\n\r\n`;
    return (await first.ask(head, null, null)).status;
  };
  if ((await ask('GET', `/${size}/${FILLED}`)) === 200) return first.close();
  const status = await ask('PUT', `/${size}`);
  if (status !== 200) throw new Error(`making a bucket: ${status}`);
  const { count, keyOf } = keyPlan(SIZES[size]);
  let next = 0;
  const startMs = performance.now();
  const connections = Array.from({ length: FILL_CONNECTIONS }, async () => {
    const connection = new Exchange(server.target);
    while (next < count) {
      // Not in the order of keys, as it is in life.
      const n = (next++ * 7_919) % count;
      const path = `/${size}/${keyOf(n)}`;
      const head = `PUT ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nContent-Length: 5\r\n\r\nhello`;
      const { status: put, text } = await connection.ask(head, null, null);
      if (put !== 200) throw new Error(`PUT ${path}: ${put} ${text}`);
    }
    connection.close();
  });
  await Promise.all(connections);
  first.close();
  // Another one: the first has been idle for so long that the server may have closed it.
  first = new Exchange(server.target);
  await ask('PUT', `/${size}/${FILLED}`);
  first.close();
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`filled ${size}: ${count} objects in ${seconds.toFixed(0)} s`);
}

/** Times of `pages` pages, in ms. */
async function measure(
  connection: Exchange,
  size: Size,
  { prefix, delimiter, from, byToken }: Kind,
  random: Random,
): Promise<number[]> {
  const times: number[] = [];
  let token: string | null = null;
  for (let i = 0; i < Number(args.pages); i++) {
    const query = new URLSearchParams({ 'list-type': '2', 'max-keys': String(PAGE_ITEMS), prefix });
    if (delimiter) query.set('delimiter', '/');
    if (from !== undefined) query.set('start-after', from(SIZES[size], random));
    if (token !== null) query.set('continuation-token', token);
    const head = `GET /${size}?${query} HTTP/1.1\r\nHost: bench\r\n\r\n`;
    const startMs = performance.now();
    const { status, text } = await connection.ask(head, null, null);
    times.push(performance.now() - startMs);
    if (status !== 200) throw new Error(`${status} ${text.slice(0, 300)}`);
    check(text, prefix);
    const next = /<NextContinuationToken>([^<]+)</.exec(text)?.[1] ?? null;
    token = byToken === true ? next : null;
  }
  return times;
}

function check(text: string, prefix: string): void {
  const count = Number(/<KeyCount>(\d+)</.exec(text)?.[1]);
  const isTruncated = text.includes('<IsTruncated>true<');
  const isFull = count === PAGE_ITEMS || !isTruncated;
  if (!isFull) throw new Error(`a page of ${count} below ${prefix} though there are more`);
}

const data = args.data ?? mkdtempSync(join(tmpdir(), 'minikv-listing-'));
const isThere = existsSync(data);
const nodeFlags =
  args.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${args.profile}`];
let server = await startMinikvS3(data, { main: args.main });
try {
  for (const size of Object.keys(SIZES) as Size[]) await fill(server, size);
  if (nodeFlags.length > 0 || !isThere) {
    await server.stop();
    server = await startMinikvS3(data, { main: args.main, nodeFlags });
  }
  const connection = new Exchange(server.target);
  const kinds = Object.entries(KINDS).filter(([what]) => what.includes(args.only ?? ''));
  const seen = new Map<string, Map<number, number>>();
  for (let round = 0; round <= Number(args.rounds); round++) {
    for (const [what, kind] of kinds) {
      for (const size of Object.keys(SIZES) as Size[]) {
        const p50 = median(await measure(connection, size, kind, new Random(round)));
        // The first round warms the program.
        const of = seen.get(`${what} ${size}`) ?? new Map<number, number>();
        if (round > 0) seen.set(`${what} ${size}`, of.set(round, p50));
      }
    }
  }
  console.log('| Page of 1,000 | large, p50 ms | small, p50 ms | large is |');
  console.log('|---|---|---|---|');
  for (const [what] of kinds) {
    const large = seen.get(`${what} large`) ?? new Map();
    const small = seen.get(`${what} small`) ?? new Map();
    const shown = (of: ReadonlyMap<number, number>): string => {
      const { median: middle, min, max } = spreadOf([...of.values()]);
      return `${middle.toFixed(1)} (${min.toFixed(1)} to ${max.toFixed(1)})`;
    };
    const ratio = ratioOf(large, small)?.median ?? Number.NaN;
    console.log(`| ${what} | ${shown(large)} | ${shown(small)} | ${ratio.toFixed(2)} x |`);
  }
  connection.close();
} finally {
  await server.stop();
  if (!args.keep) rmSync(data, { recursive: true, force: true });
}
