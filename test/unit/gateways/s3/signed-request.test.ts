import { describe, expect, it } from 'vitest';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import {
  decodedBytesOf,
  storedContentEncoding,
  trailerNamesOf,
} from '../../../../gateways/s3/payload-form.ts';
import { headersOf, queryFieldsOf } from '../../../../gateways/s3/signed-request.ts';
import {
  deriveSigningKey,
  isSameSignature,
  SigningKeys,
} from '../../../../gateways/s3/signing-key.ts';
import {
  canonicalPath,
  canonicalQuery,
  uriEncode,
} from '../../../../gateways/s3/sigv4-canonical.ts';
import { EXAMPLE, EXAMPLE_KEY } from '../../../kit/s3-signer.ts';

describe('what a client signed', () => {
  it('headers by name, twice is joined, blanks around a value go', () => {
    const headers = headersOf(['Host', 'h', 'X-A', ' a  b\t', 'x-a', 'c', '__proto__', 'p']);
    expect([...headers]).toEqual([
      ['host', 'h'],
      ['x-a', 'a  b,c'],
      ['__proto__', 'p'],
    ]);
    // A no-break space is a byte of the value.
    expect(headersOf(['a', '\xa0b\xa0']).get('a')).toBe('\xa0b\xa0');
  });

  it('a header of 16 KB of blanks takes no time', () => {
    const blanks = `x${' '.repeat(16_000)}y`;
    const startMs = performance.now();
    for (let i = 0; i < 100; i++) headersOf(['a', blanks]);
    expect(performance.now() - startMs).toBeLessThan(1000);
  });

  it('fields of the query in their order, decoded once', () => {
    expect(queryFieldsOf('/a?b=%252f&acl&b=1+2&&=x&c=d=e')).toEqual([
      { name: 'b', value: '%2f' },
      { name: 'acl', value: '' },
      { name: 'b', value: '1 2' },
      { name: '', value: 'x' },
      { name: 'c', value: 'd=e' },
    ]);
    expect(queryFieldsOf('/a?')).toEqual([]);
  });
});

describe('the canonical request', () => {
  it('encodes a path once and normalises nothing', () => {
    const paths: [string, string][] = [
      ['', '/'],
      ['/a//../b/./', '/a//../b/./'],
      ['/a%2fb', '/a/b'],
      ["/a(b)'*!~", '/a%28b%29%27%2A%21~'],
      ['/a%20b+c%2520', '/a%20b%2Bc%2520'],
      ['/%e4%bd%a0?x', '/%E4%BD%A0'],
    ];
    for (const [target, canonical] of paths) expect(canonicalPath(target)).toBe(canonical);
    expect(uriEncode('a/b\xff')).toBe('a%2Fb%FF');
  });

  it('sorts the query by encoded name, then value', () => {
    const query = (target: string): string => canonicalQuery(queryFieldsOf(target), 'except');
    expect(query('/?b=2&a-b=1&a=3&a=1&except=9&A=0&acl&%7Ea=1')).toBe(
      'A=0&a=1&a=3&a-b=1&acl=&b=2&~a=1',
    );
  });
});

describe('signing keys', () => {
  const scope = (date: string) => ({
    date,
    region: EXAMPLE.region,
    service: 's3',
    text: `${date}/us-east-1/s3/aws4_request`,
  });

  it('are derived once, again for another secret, and bounded', () => {
    const keys = new SigningKeys(2);
    const key = keys.keyOf('a', EXAMPLE.secretAccessKey, scope('20130524'));
    expect(key).toEqual(EXAMPLE_KEY);
    expect(keys.keyOf('a', EXAMPLE.secretAccessKey, scope('20130524'))).toBe(key);
    const replaced = keys.keyOf('a', 'other', scope('20130524'));
    expect(replaced).toEqual(deriveSigningKey('other', scope('20130524')));
    keys.keyOf('b', 'x', scope('20130524'));
    expect(keys.keyOf('a', 'other', scope('20130524'))).toBe(replaced);
    // The one that was used longest ago goes.
    keys.keyOf('c', 'x', scope('20130524'));
    expect(keys.size).toBe(2);
    expect(keys.keyOf('a', 'other', scope('20130524'))).toBe(replaced);
  });

  it('only 64 small hex digits can be a signature', () => {
    const hex = 'ab'.repeat(32);
    expect(isSameSignature(hex, hex)).toBe(true);
    const others = [hex.toUpperCase(), `${hex}0`, hex.slice(1), `${hex.slice(1)}c`, `${hex}\n`];
    for (const given of ['', ...others]) {
      expect(isSameSignature(hex, given), given).toBe(false);
    }
  });
});

describe('headers of an aws-chunked body', () => {
  it('say how long its payload is', () => {
    const of = (text?: string) =>
      decodedBytesOf(new Map(text === undefined ? [] : [['x-amz-decoded-content-length', text]]));
    expect(of('0')).toBe(0);
    expect(of('66560')).toBe(66560);
    expect(() => of()).toThrow(
      expect.objectContaining({ code: 'MissingContentLength', status: 411 }),
    );
    for (const bad of ['-1', '+1', '1.0', '0x1', '1,1', '9'.repeat(16), '9'.repeat(30)]) {
      expect(() => of(bad), bad).toThrow(S3Error);
    }
  });

  it('name its trailers, and are not kept as the encoding of the object', () => {
    expect(trailerNamesOf(new Map([['x-amz-trailer', 'X-Amz-Checksum-CRC32 , a']]))).toEqual([
      'x-amz-checksum-crc32',
      'a',
    ]);
    expect(trailerNamesOf(new Map())).toEqual([]);
    expect(storedContentEncoding('aws-chunked')).toBeNull();
    expect(storedContentEncoding('gzip, AWS-chunked')).toBe('gzip');
    expect(storedContentEncoding('gzip')).toBe('gzip');
  });
});
