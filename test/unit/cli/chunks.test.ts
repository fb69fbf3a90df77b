import { afterEach, describe, expect, it } from 'vitest';
import { type CareFlags, careForChunks } from '../../../cli/commands/chunks.ts';
import { openContext } from '../../../cli/commands/context.ts';
import { CommandFailed, UsageError } from '../../../cli/failures.ts';
import { testIo } from './fake-io.ts';
import { answerJson, type TestServer, testServer } from './test-server.ts';

const servers: TestServer[] = [];
afterEach(async () => {
  copies = [];
  for (const server of servers.splice(0)) await server.close();
});

const WELL = {
  ...{ verified: 4, verifiedBytes: 2048, damaged: 0, foreign: 0 },
  ...{ chunks: 4, missing: 0, mended: 0, lost: 0 },
};

type Line = Record<string, unknown>;

/** What the status says of copies, one answer after the other; the last one stays. */
let copies: (string | undefined)[] = [];

/** Nodes n1, n2 ...; each answers with its lines, the first one with the status too. */
async function nodes(...answers: Line[][]): Promise<string> {
  for (const [i, lines] of answers.entries()) {
    const server = await testServer((request, response) => {
      if (request.url === '/admin/status') {
        const known = servers.map(({ url }, n) => ({ nodeId: `n${n + 1}`, httpUrl: url }));
        const said = copies.length > 1 ? copies.shift() : (copies[0] ?? 'whole');
        return answerJson(response, 200, { groups: [], nodes: known, copies: said });
      }
      expect(request.method).toBe('POST');
      expect(request.headers['accept']).toBe('application/x-ndjson');
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      const nodeId = `n${i + 1}`;
      const text = lines.map((line) => `${JSON.stringify({ nodeId, ...line })}\n`).join('');
      response.write(text.slice(0, text.length >> 1));
      response.end(text.slice(text.length >> 1));
    });
    servers.push(server);
  }
  return servers[0]?.url ?? '';
}

async function run(
  endpoint: string,
  command: 'verify' | 'repair' | 'compact',
  flags: CareFlags = {},
): Promise<{ out: string; failure: unknown }> {
  const io = testIo();
  const all = { endpoint, timeout: '5', ...flags };
  const failure = await careForChunks(openContext(io, all), command, all).then(
    () => null,
    (error: unknown) => error,
  );
  return { out: io.written.out, failure };
}

const step = (looked: number, more: Line = {}): Line => ({
  ...{ done: false, phase: 'reading', looked, total: 4, ...WELL, verified: looked },
  ...more,
});
const done = (more: Line = {}): Line => ({ ...step(4), phase: 'restoring', done: true, ...more });

describe('minikv verify, repair and compact', () => {
  it('asks all nodes, and tells what each found', async () => {
    const url = await nodes([step(1), done()], [done({ verifiedBytes: 3 * 1024 ** 2 })]);
    const { out, failure } = await run(url, 'verify');
    expect(failure).toBeNull();
    expect(out).toBe(
      'n1: 4 chunks are well (2.0 KiB), 0 damaged; of 4 that belong here 0 were missing\n' +
        'n2: 4 chunks are well (3.0 MiB), 0 damaged; of 4 that belong here 0 were missing\n' +
        'every copy of all objects is there: one disk may be lost\n',
    );
  });

  it('fails where something is damaged or missing, unless it was brought back', async () => {
    for (const [command, counts, isWell] of [
      ['verify', { damaged: 1 }, false],
      ['verify', { missing: 1 }, false],
      ['repair', { damaged: 1, missing: 1, mended: 2 }, true],
      ['repair', { damaged: 1, missing: 1, mended: 1, lost: 1 }, false],
      ['compact', { removed: 3, removedBytes: 10 }, true],
    ] as const) {
      const { failure } = await run(await nodes([done(counts)]), command);
      if (isWell) expect(failure, command).toBeNull();
      else expect(failure, command).toBeInstanceOf(CommandFailed);
      for (const server of servers.splice(0)) await server.close();
    }
  });

  it('a node whose answer breaks off, or says why it failed, is named; the others are told', async () => {
    const error = { detail: 'the node is stopping', code: 'unavailable' };
    const url = await nodes([done()], [step(2)], [{ error }]);
    const { out, failure } = await run(url, 'repair');
    expect(failure).toMatchObject({ details: { nodes: ['n2', 'n3'] } });
    expect(out).toContain('n1: 4 chunks are well');
    expect(out).toContain('n2: the answer broke off\n');
    expect(out).toContain('n3: the node is stopping [unavailable]\n');
  });

  it('prints each step as JSON, and the result of each node', async () => {
    const url = await nodes([step(1), step(3), done()], [done()]);
    const { out } = await run(url, 'verify', { json: true, node: 'n1' });
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ event, looked, total }) => [event, looked, total])).toEqual([
      ['progress', 1, 4],
      ['progress', 3, 4],
      ['node', 4, 4],
      ['copies', undefined, undefined],
    ]);
    expect(lines[2]).toMatchObject({ command: 'verify', nodeId: 'n1', done: true, ...WELL });
  });

  it('a node that lacks nothing it knows of is not well before all voters are heard and have everything', async () => {
    const url = await nodes([done({ verified: 0, chunks: 0 })]);
    // The first answer is for who looks which nodes there are.
    copies = ['unknown', 'unknown', 'restoring', 'whole'];
    expect((await run(url, 'verify')).failure).toBeNull();
    copies = ['unknown', 'restoring', 'lost'];
    const { out, failure } = await run(url, 'verify');
    expect(failure).toMatchObject({ details: { code: 'not_well', copies: 'lost' } });
    expect(out).toContain('CHUNKS OF OBJECTS ARE LOST');
  });

  it('refuses a node that there is not', async () => {
    const { failure } = await run(await nodes([done()]), 'verify', { node: 'n1,n9' });
    expect(failure).toBeInstanceOf(UsageError);
    expect(String(failure)).toContain('n9');
  });
});
