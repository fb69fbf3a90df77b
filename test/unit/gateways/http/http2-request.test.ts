import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { http1Head } from '../../../../gateways/http/http2-request.ts';

const GET = [':method', 'GET', ':scheme', 'https', ':path', '/a?b=c', ':authority', 'h:1'];

describe('the head of a request of HTTP/2', () => {
  it('is that of HTTP/1.1, with what it is about as its host', () => {
    expect(http1Head([...GET, 'x', 'y', 'x', 'z'], false)).toEqual({
      text: 'GET /a?b=c HTTP/1.1\r\nhost: h:1\r\nx: y\r\nx: z\r\n\r\n',
      ...{ method: 'GET', isChunked: false },
    });
  });

  it('is sent in chunks where a body has no length', () => {
    expect(http1Head(GET, true)?.text).toContain('transfer-encoding: chunked\r\n');
    const said = http1Head([...GET, 'content-length', '3'], true);
    expect([said?.isChunked, said?.text.includes('transfer-encoding')]).toEqual([false, false]);
    expect(said?.text).toContain('content-length: 3\r\n');
  });

  it('says a host once where both are the same, and both where they are not', () => {
    expect(http1Head([...GET, 'host', 'h:1'], false)?.text.match(/host: /g)).toHaveLength(1);
    expect(http1Head([...GET, 'host', 'other'], false)?.text.match(/host: /g)).toHaveLength(2);
    expect(
      http1Head([...GET, 'host', 'h:1', 'host', 'h:1'], false)?.text.match(/host: /g),
    ).toHaveLength(2);
    expect(http1Head([...GET.slice(0, 6), 'host', 'h'], false)?.text).toContain('host: h\r\n');
  });

  it('of CONNECT names what it is for', () => {
    const head = http1Head([':method', 'CONNECT', ':authority', 'a:1'], true);
    expect(head?.text).toMatch(/^CONNECT a:1 HTTP\/1\.1\r\n/);
  });

  it.each([
    ['a line that ends', [...GET, 'x', 'y\r\nhost: other']],
    ['a line that ends in part', [...GET, 'x', 'y\nz']],
    ['a NUL', [...GET, 'x', 'y\0']],
    ['a name with a space', [...GET, 'x y', 'z']],
    ['a name with a colon', [...GET, 'x:y', 'z']],
    ['no name', [...GET, '', 'z']],
    ['a method of two words', [':method', 'GET /x', ':path', '/']],
    ['a path of two words', [':method', 'GET', ':path', '/a HTTP/1.1']],
    ['an empty path', [':method', 'GET', ':path', '']],
    ['no path', [':method', 'GET', ':authority', 'h']],
    ['no method', [':path', '/']],
    ['two paths', [...GET, ':path', '/b']],
    ['two methods', [...GET, ':method', 'PUT']],
    ...[
      'connection',
      'Connection',
      'keep-alive',
      'proxy-connection',
      'transfer-encoding',
      'upgrade',
    ].map((name): [string, string[]] => [name, [...GET, name, 'x']]),
  ])('with %s is malformed', (_, raw) => {
    expect(http1Head(raw, false)).toBeNull();
    expect(http1Head(raw, true)).toBeNull();
  });
});

it('is one request and no more, whatever its headers are', () => {
  const byteArb = fc.constantFrom(
    'a',
    'Z',
    ':',
    ' ',
    '\t',
    '\r',
    '\n',
    '\0',
    '\r\n',
    '\x7f',
    '\xff',
    '/',
    ',',
  );
  const textArb = fc.array(byteArb, { maxLength: 6 }).map((all) => all.join(''));
  const nameArb = fc.oneof(
    textArb,
    fc.constantFrom(
      ':method',
      ':path',
      ':authority',
      ':scheme',
      'host',
      'content-length',
      'te',
      'x',
    ),
  );
  const headArb = fc.array(fc.tuple(nameArb, textArb), { maxLength: 8 });
  fc.assert(
    fc.property(headArb, fc.boolean(), fc.boolean(), (more, isPlain, hasBody) => {
      const raw = [...(isPlain ? GET : []), ...more.flat()];
      const head = http1Head(raw, hasBody);
      if (head === null) return;
      const [first = '', ...lines] = head.text.split('\r\n');
      expect(first).toMatch(/^[^\s]+ [^\s]+ HTTP\/1\.1$/);
      expect(lines.slice(-2)).toEqual(['', '']);
      for (const line of lines.slice(0, -2)) {
        expect(line).toMatch(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*$/);
      }
      expect(lines.length - 2).toBeLessThanOrEqual(raw.length / 2 + 2);
    }),
    { numRuns: 5_000 },
  );
});
