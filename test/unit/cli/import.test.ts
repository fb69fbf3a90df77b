import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client } from '../../../cli/client.ts';
import { type ImportFlags, importRecords } from '../../../cli/commands/import.ts';
import { CommandFailed, UsageError } from '../../../cli/failures.ts';
import { linesOf } from '../../../cli/import/lines.ts';
import {
  deb822Records,
  type ImportRecord,
  ndjsonRecords,
  parseKeyTemplate,
} from '../../../cli/import/records.ts';
import { SealedWriter } from '../../../cli/sealed-stream.ts';
import { RootKeys } from '../../../gateways/encryption/root-keys.ts';
import { seededRandom } from '../../../protocol/random.ts';
import { type TestIo, testIo } from './fake-io.ts';
import { answerJson, problem, type TestServer, testServer } from './test-server.ts';

async function* chunksOf(text: string | Buffer, cuts: readonly number[] = []) {
  const bytes = Buffer.from(text as string);
  const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length];
  at.sort((a, b) => a - b);
  for (let i = 1; i < at.length; i++) yield bytes.subarray(at[i - 1], at[i]);
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

const deb822 = (text: string | Buffer, template: string, cuts: readonly number[] = []) =>
  all(deb822Records(linesOf(chunksOf(text, cuts)), parseKeyTemplate(template)));

describe('lines', () => {
  it('come out the same however the bytes are cut', async () => {
    const property = fc.asyncProperty(
      fc.array(fc.stringMatching(/^[^\r\n]{0,12}$/)),
      fc.array(fc.nat({ max: 200 })),
      fc.constantFrom('\n', '\r\n'),
      async (lines, cuts, end) => {
        const text = lines.map((line) => line + end).join('');
        const got = (await all(linesOf(chunksOf(text, cuts)))).map(String);
        expect(got).toEqual(lines);
      },
    );
    await fc.assert(property, { numRuns: 200 });
  });

  it('may end without a line end', async () => {
    expect((await all(linesOf(chunksOf('a\nb')))).map(String)).toEqual(['a', 'b']);
    expect(await all(linesOf(chunksOf('')))).toEqual([]);
  });
});

describe('deb822', () => {
  it('reads a Debian index: a record per paragraph, its key from the template', async () => {
    const index = `Package: 0ad
Version: 0.0.26-3
Section: games
Description: Real-time strategy
 game of ancient warfare
 .
Homepage: https://play0ad.com/

Package: zlib1g
section:  libs
# a comment

`;
    const records = await deb822(index, 'debian/{Section}/{Package}');
    expect(records.map((record) => record.op.key)).toEqual([
      'debian/games/0ad',
      'debian/libs/zlib1g',
    ]);
    expect(records[0]!.op.value).toBe(index.slice(0, index.indexOf('\n\n') + 1));
    const op = { op: 'put', contentType: 'text/plain; charset=utf-8' };
    expect(records[1]).toMatchObject({ number: 2, op });
  });

  it('gives back every record byte by byte, however the input is cut and spaced', async () => {
    const field = fc.tuple(
      fc.stringMatching(/^[A-Z][a-z]{0,6}$/),
      fc.stringMatching(/^[ -~]{0,12}$/),
      fc.array(fc.stringMatching(/^[!-~][ -~]{0,8}$/), { maxLength: 2 }),
    );
    const record = fc.array(field, { minLength: 1, maxLength: 4 });
    const property = fc.asyncProperty(
      fc.array(record, { maxLength: 6 }),
      fc.array(fc.nat({ max: 300 }), { maxLength: 8 }),
      fc.constantFrom('\n', '\n\n', ' \n\t\n'),
      async (records, cuts, gap) => {
        const texts = records.map((fields, i) =>
          [['Id0', String(i), []] as const, ...fields]
            .map(([name, value, more]) =>
              [`X${name}: ${value}`, ...more.map((m) => ` ${m}`)].join('\n'),
            )
            .map((text) => `${text}\n`)
            .join(''),
        );
        const got = await deb822(gap + texts.join(gap), 'k/{XId0}', cuts);
        expect(got.map(({ op }) => op.value)).toEqual(texts);
        expect(got.map(({ op }) => op.key)).toEqual(texts.map((_, i) => `k/${i}`));
      },
    );
    await fc.assert(property, { numRuns: 200 });
  });

  it('keeps bytes that are not UTF-8', async () => {
    const bytes = Buffer.from('Package: a\nAuthor: J\xf6rg\n', 'latin1');
    const [record] = await deb822(bytes, '{Package}');
    expect(Buffer.from(record!.op.base64!, 'base64')).toEqual(bytes);
  });

  it('says which record misses a field, unless the template has a fallback', async () => {
    await expect(deb822('A: 1\n\nB: 2\n', '{A}')).rejects.toThrow('record 2 has no field A');
    const records = await deb822('A: 1\n\nB: 2\n', 'x/{A|none}');
    expect(records.map(({ op }) => op.key)).toEqual(['x/1', 'x/none']);
    for (const template of ['plain', '{', '{}', 'a{b', '{a}}']) {
      expect(() => parseKeyTemplate(template)).toThrow(UsageError);
    }
  });
});

describe('NDJSON', () => {
  const ndjson = (text: string): Promise<ImportRecord[]> =>
    all(ndjsonRecords(linesOf(chunksOf(text)), () => Date.UTC(2026, 0, 1)));

  it('takes what export writes: other members are ignored, expiry becomes a TTL', async () => {
    const records = await ndjson(`{"key":"a","value":"1","revision":5,"version":1}

{"keyBase64":"/w==","base64":"AA==","contentType":"image/png"}
{"key":"soon","value":"x","expiresAt":"2026-01-01T00:00:10.500Z"}
{"key":"gone","value":"x","expiresAt":"2025-12-31T00:00:00Z"}
{"end":true,"revision":9}
`);
    expect(records).toEqual([
      { number: 1, op: { op: 'put', key: 'a', value: '1' } },
      { number: 3, op: { op: 'put', keyBase64: '/w==', base64: 'AA==', contentType: 'image/png' } },
      { number: 4, op: { op: 'put', key: 'soon', value: 'x', ttl: 11 } },
    ]);
  });

  it('names the line it cannot read', async () => {
    await expect(ndjson('{"key":"a","value":"1"}\nnope\n')).rejects.toThrow('line 2 is not JSON');
    await expect(ndjson('{"value":"1"}')).rejects.toThrow('line 1 needs exactly one of key');
    await expect(ndjson('{"key":"a","value":1}')).rejects.toThrow('value must be a string');
    await expect(ndjson('{"key":"a","value":"1","base64":""}')).rejects.toThrow('one of value');
  });
});

interface Op {
  readonly key: string;
  readonly value: string;
}

/** A store that knows idempotency keys, with an answer that can be lost or refused on the way. */
class BatchStore {
  readonly keys: string[] = [];
  readonly values = new Map<string, string>();
  readonly applied = new Map<string, string>();
  /** What goes wrong with the n-th request, from 0. */
  readonly faults = new Map<number, 'lose-request' | 'lose-answer' | 'busy' | 'unknown-item'>();
  server!: TestServer;

  async open(): Promise<this> {
    this.server = await testServer((request, response, index) => {
      const fault = this.faults.get(index);
      const key = String(request.headers['idempotency-key']);
      this.keys.push(key);
      if (fault === 'lose-request') return void response.socket?.destroy();
      if (fault === 'busy') return problem(response, 503, 'overloaded', true, 10);
      const { ops } = JSON.parse(request.body) as { ops: Op[] };
      const before = this.applied.get(key);
      if (before !== undefined && before !== request.body) {
        return problem(response, 422, 'idempotency_mismatch', true);
      }
      if (ops.some((op) => op.key === '')) return problem(response, 400, 'invalid_argument', true);
      if (before === undefined) for (const op of ops) this.values.set(op.key, op.value);
      this.applied.set(key, request.body);
      if (fault === 'lose-answer') return void response.socket?.destroy();
      const results = ops.map((op): Record<string, unknown> => {
        if (op.key.startsWith('refused'))
          return { key: op.key, code: 'too_large', definite: true, message: 'no' };
        return { key: op.key, revision: 1 };
      });
      if (fault === 'unknown-item') results[0] = { code: 'outcome_unknown', definite: false };
      answerJson(response, 200, { results });
    });
    return this;
  }
}

describe('minikv import', () => {
  let folder: string;
  let store: BatchStore;
  let io: TestIo;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'minikv-import-'));
    store = await new BatchStore().open();
    io = testIo();
  });
  afterEach(async () => {
    await store.server.close();
    rmSync(folder, { recursive: true });
  });

  const lines = (keys: readonly string[]): string =>
    keys.map((key) => `${JSON.stringify({ key, value: `v-${key}` })}\n`).join('');
  const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}`);

  async function run(
    text: string | Buffer,
    flags: ImportFlags,
    name = 'in.ndjson',
    timeoutMs = 3_000,
  ) {
    const file = join(folder, name);
    if (!existsSync(file)) writeFileSync(file, text);
    const client = new Client(io, { endpoints: [store.server.url], timeoutMs });
    return importRecords({ io, client, json: true }, file, flags);
  }

  it('sends every record once, in batches of the given size, with a key per batch', async () => {
    await run(lines(numbered(105)), { batch: '20' });
    expect(store.values.size).toBe(105);
    expect(store.server.seen).toHaveLength(6);
    expect(new Set(store.keys).size).toBe(6);
    expect(JSON.parse(io.written.out)).toMatchObject({ imported: 105, refused: 0, skipped: 0 });
  });

  it('opens what is encrypted; without its key, changed or cut short, a file changes nothing', async () => {
    const [one, two] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    const keyFile = (name: string, ...keys: Buffer[]) => {
      const path = join(folder, name);
      writeFileSync(path, keys.map((key) => key.toString('hex')).join('\n'));
      return path;
    };
    const right = { encryptionKeyFile: keyFile('right', two, one), batch: '20' };
    const wrong = { encryptionKeyFile: keyFile('wrong', two) };
    const sealed: Uint8Array[] = [];
    const writer = new SealedWriter(new RootKeys([one]), seededRandom(1), async (bytes) => {
      sealed.push(bytes);
    });
    await writer.write(Buffer.from(lines(numbered(4_000))));
    await writer.end();
    const whole = Buffer.concat(sealed);
    expect(sealed.length).toBeGreaterThan(2);
    await expect(run(whole, {}, 'a')).rejects.toThrow(/encrypted under key [0-9a-f]{16}, and none/);
    await expect(run(whole, wrong, 'a')).rejects.toThrow('which is not among those given');
    await expect(run(whole.subarray(0, -1), right, 'b')).rejects.toThrow('cut short');
    const exchanged = Buffer.concat([sealed[0]!, sealed[2]!, sealed[1]!]);
    await expect(run(exchanged, right, 'c')).rejects.toThrow('out of order');
    await expect(run(Buffer.concat([whole, whole]), right, 'd')).rejects.toThrow('was changed');
    // Who names a key does not take what anybody could have put in the place of an encrypted export.
    const clear = Buffer.from(lines(['a']));
    for (const file of [clear, Buffer.from([...whole]).fill(0, 0, 1), Buffer.alloc(0)]) {
      await expect(run(file, right, 'e')).rejects.toThrow(/not encrypted|cut short/);
    }
    expect(store.values.size).toBe(0);
    await run(whole, right, 'a');
    expect(store.values.size).toBe(4_000);
    await run(gzipSync(whole), right, 'a.gz');
    const env = { MINIKV_EXPORT_KEY: one.toString('base64') };
    const piped = testIo({ env, stdin: whole });
    const client = new Client(io, { endpoints: [store.server.url], timeoutMs: 3_000 });
    await importRecords({ io: piped, client, json: false }, '-', {});
    expect(piped.written.err).toBe('imported 4000 records\n');
  });

  it('reads gzip and standard input', async () => {
    await run(gzipSync(lines(['a', 'b'])), {}, 'in.ndjson.gz');
    const piped = testIo({ stdin: lines(['c']) });
    const client = new Client(piped, { endpoints: [store.server.url], timeoutMs: 3_000 });
    await importRecords({ io: piped, client, json: false }, '-', {});
    expect([...store.values.keys()]).toEqual(['a', 'b', 'c']);
    expect(piped.written.err).toBe('imported 1 records\n');
  });

  it('sends a batch again under the same key when its outcome is unknown or it was refused', async () => {
    store.faults.set(0, 'lose-request').set(1, 'lose-answer').set(2, 'busy').set(4, 'unknown-item');
    await run(lines(numbered(40)), { batch: '20', parallel: '1' });
    expect(store.values.size).toBe(40);
    expect(store.applied.size).toBe(2);
    expect(store.keys).toHaveLength(6);
    expect(new Set(store.keys.slice(0, 4)).size).toBe(1);
    expect(new Set(store.keys.slice(4)).size).toBe(1);
    for (const key of new Set(store.keys)) {
      const bodies = store.server.seen.filter((s) => s.headers['idempotency-key'] === key);
      expect(new Set(bodies.map((s) => s.body)).size).toBe(1);
    }
  });

  it('goes on past records that are refused for good, names them, and fails at the end', async () => {
    const keys = [...numbered(10), 'refused1', 'x', '', 'y'];
    const error = await run(lines(keys), { batch: '100' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CommandFailed);
    expect(String(error)).toContain('2 records were refused');
    expect(String(error)).toContain('record 11 (refused1): no [too_large]');
    expect(String(error)).toContain('record 13');
    expect(store.values.has('y')).toBe(true);
    expect(JSON.parse(io.written.out)).toMatchObject({ imported: 12, refused: 2 });
  });

  it('continues after an interruption without sending what is in', async () => {
    const checkpoint = join(folder, 'progress.json');
    const text = lines(numbered(100));
    const flags = { batch: '10', parallel: '1', checkpoint };
    for (let i = 4; i < 200; i++) store.faults.set(i, 'lose-answer');
    await expect(run(text, flags, 'in.ndjson', 300)).rejects.toThrow();
    expect(JSON.parse(readFileSync(checkpoint, 'utf8'))).toMatchObject({ records: 40 });
    const interrupted = store.keys.at(-1);
    store.faults.clear();
    const sentBefore = store.server.seen.length;
    await run(text, flags);
    expect(store.values.size).toBe(100);
    expect(JSON.parse(io.written.out)).toMatchObject({ imported: 60, skipped: 40 });
    expect(store.server.seen.length - sentBefore).toBe(6);
    // The batch in doubt is sent under its old name, so it is applied once.
    expect(store.keys[sentBefore]).toBe(interrupted);
    expect(existsSync(checkpoint)).toBe(false);
  });

  it('refuses a checkpoint of another input, and flags that do not fit', async () => {
    const checkpoint = join(folder, 'progress.json');
    writeFileSync(checkpoint, JSON.stringify({ input: 'other', runId: 'x', records: 3 }));
    await expect(run(lines(['a']), { checkpoint })).rejects.toThrow('belongs to another import');
    await expect(run('', { format: 'deb822' })).rejects.toThrow(UsageError);
    await expect(run('', { format: 'csv' })).rejects.toThrow(UsageError);
    await expect(run('', { key: '{a}' })).rejects.toThrow(UsageError);
    await expect(run('', { batch: '0' })).rejects.toThrow(UsageError);
  });
});
