import { afterEach, describe, expect, it } from 'vitest';
import { parseTxnLine, type TxnDocument } from '../../../cli/commands/txn-lines.ts';
import { runProgram } from '../../../cli/program.ts';
import { type TestIo, testIo } from './fake-io.ts';
import { answerJson, problem, type TestServer, testServer } from './test-server.ts';

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function node(answer: Parameters<typeof testServer>[0]): Promise<TestServer> {
  const server = await testServer(answer);
  servers.push(server);
  return server;
}

async function run(line: string[], stdin: string) {
  const io = testIo({ stdin });
  const compose = async () => {
    throw new Error('no node was asked for');
  };
  const code = await runProgram(line, io, { version: '9.9.9', compose });
  return { code, ...io.written };
}

/** Some lines, and then somebody who thinks for a while. */
async function* typing(lines: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  yield Buffer.from(lines);
  for (let i = 0; i < 15 && !signal.aborted; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const ANSWER = {
  succeeded: true,
  revision: 9,
  results: [
    { key: 'a', revision: 9, createRevision: 9, version: 1 },
    { key: 'b', value: 'old', revision: 4 },
    { key: 'c', revision: 0 },
    { key: 'd', deleted: true, revision: 9 },
    { items: [{ key: 'e', value: 'x', revision: 1 }], more: false, revision: 9 },
  ],
};

describe('minikv txn', () => {
  it('sends the document from standard input once, under an idempotency key, and shows each result', async () => {
    const server = await node((_, response) => answerJson(response, 200, ANSWER));
    const document = '{"then":[{"op":"put","key":"a","value":"1"}]}';
    const done = await run(['txn', '-f', '-', '--endpoint', server.url], document);
    expect(done.code).toBe(0);
    expect(done.out).toBe(
      'then, at revision 9\na is at 9\nb\told\nc is absent\ndeleted d\ttrue\ne\tx\n',
    );
    expect(server.seen).toHaveLength(1);
    expect(server.seen[0]).toMatchObject({ method: 'POST', url: '/v1/txn', body: document });
    expect(server.seen[0]?.headers['idempotency-key']).toMatch(/^[0-9a-f]{32}$/);
    const json = await run(['txn', '-f', '-', '--json', '--endpoint', server.url], document);
    expect(JSON.parse(json.out)).toEqual(ANSWER);
  });

  it('fails with the compare that does not hold', async () => {
    const server = await node((_, response) => problem(response, 409, 'compare_failed', true));
    const done = await run(['txn', '-f', '-', '--endpoint', server.url], '{"then":[]}');
    expect(done).toMatchObject({ code: 1, err: expect.stringContaining('nothing was done') });
  });

  it('does not send what is no JSON', async () => {
    const done = await run(['txn', '-f', '-', '--endpoint', 'http://127.0.0.1:1'], 'put a 1');
    expect(done).toMatchObject({ code: 2, err: expect.stringContaining('no JSON') });
  });

  it('sends what is typed at an empty line, and nothing when it is given up', async () => {
    const server = await node((_, response) => answerJson(response, 200, ANSWER));
    const type = async (lines: string, then: (io: TestIo) => void = () => {}) => {
      const io = testIo({ stdin: lines });
      const held: TestIo = { ...io, stdinIsTerminal: true, stdin: typing(lines, io.signal) };
      const compose = async () => {
        throw new Error('no node was asked for');
      };
      const done = runProgram(['txn', '--endpoint', server.url], held, { version: '9', compose });
      setTimeout(() => then(io), 100);
      return { code: await done, ...io.written };
    };
    const sent = await type('if a lease = 7\nif a = 1\nput a 2\n\nput b 3\n');
    expect(sent.code).toBe(0);
    expect(sent.out).toContain('This line is left out');
    const compare = [{ key: 'a', op: '=', lease: 7 }];
    expect(JSON.parse(server.seen[0]?.body ?? '')).toMatchObject({ compare });
    for (const given of [
      await type('put a 2\n'),
      await type('put a 2\n', (io) => io.interrupt()),
    ]) {
      expect(given).toMatchObject({ code: 1, err: expect.stringContaining('nothing was done') });
    }
    expect(server.seen).toHaveLength(1);
  });

  it('reads a typed transaction line by line', () => {
    const document: TxnDocument = { compare: [], then: [] };
    const lines = [
      'if a value = some text',
      'if b revision > 7',
      'if c absent',
      'put a  new  value',
      'get b',
      'else',
      'del c',
      'range d/',
    ];
    for (const line of lines) expect([line, parseTxnLine(document, line)]).toEqual([line, null]);
    expect(document).toEqual({
      compare: [
        { key: 'a', op: '=', value: 'some text' },
        { key: 'b', op: '>', revision: 7 },
        { key: 'c', exists: false },
      ],
      then: [
        { op: 'put', key: 'a', value: 'new  value' },
        { op: 'get', key: 'b' },
      ],
      else: [
        { op: 'delete', key: 'c' },
        { op: 'range', prefix: 'd/' },
      ],
    });
    for (const bad of ['if a exists', 'incr a', 'put', 'if']) {
      expect(parseTxnLine(document, bad)).not.toBeNull();
    }
  });
});
