import { describe, expect, it } from 'vitest';
import { ChunkedDecoder } from '../../../../gateways/s3/chunked-decoder.ts';
import { EMPTY_SHA256, EXAMPLE, signedChunks, verifierAt } from '../../../kit/s3-signer.ts';

/** The worked examples of the S3 API reference, with the signatures that are printed there. */

const HOST = 'examplebucket.s3.amazonaws.com';

function authorization(signedHeaders: string, signature: string): string {
  return `AWS4-HMAC-SHA256 Credential=${EXAMPLE.accessKeyId}/${EXAMPLE.scope},SignedHeaders=${signedHeaders},Signature=${signature}`;
}

interface Example {
  readonly name: string;
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
}

const EXAMPLES: readonly Example[] = [
  {
    name: 'GET Object',
    method: 'GET',
    target: '/test.txt',
    headers: {
      Host: HOST,
      Authorization: authorization(
        'host;range;x-amz-content-sha256;x-amz-date',
        'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
      ),
      Range: 'bytes=0-9',
      'x-amz-content-sha256': EMPTY_SHA256,
      'x-amz-date': EXAMPLE.timestamp,
    },
  },
  {
    name: 'PUT Object',
    method: 'PUT',
    target: '/test%24file.text',
    headers: {
      Host: HOST,
      Date: 'Fri, 24 May 2013 00:00:00 GMT',
      Authorization: authorization(
        'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
        '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
      ),
      'x-amz-date': EXAMPLE.timestamp,
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    },
  },
  {
    name: 'GET Bucket Lifecycle',
    method: 'GET',
    target: '/?lifecycle',
    headers: {
      Host: HOST,
      Authorization: authorization(
        'host;x-amz-content-sha256;x-amz-date',
        'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
      ),
      'x-amz-date': EXAMPLE.timestamp,
      'x-amz-content-sha256': EMPTY_SHA256,
    },
  },
  {
    name: 'GET Bucket (List Objects)',
    method: 'GET',
    target: '/?max-keys=2&prefix=J',
    headers: {
      Host: HOST,
      Authorization: authorization(
        'host;x-amz-content-sha256;x-amz-date',
        '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
      ),
      'x-amz-date': EXAMPLE.timestamp,
      'x-amz-content-sha256': EMPTY_SHA256,
    },
  },
  {
    name: 'presigned GET Object',
    method: 'GET',
    target:
      '/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    headers: { Host: HOST },
  },
];

describe('examples of the S3 API reference', () => {
  it.each(EXAMPLES)('$name is authenticated', async ({ method, target, headers }) => {
    const rawHeaders = Object.entries(headers).flat();
    const result = await verifierAt().authenticate({ method, target, rawHeaders });
    expect(result).toMatchObject({ kind: 'authenticated', accessKeyId: EXAMPLE.accessKeyId });
  });

  it('the chunked upload: its seed, its chunks and its end', async () => {
    const result = await verifierAt().authenticate({
      method: 'PUT',
      target: '/examplebucket/chunkObject.txt',
      rawHeaders: [
        ...['Host', 's3.amazonaws.com', 'x-amz-date', EXAMPLE.timestamp],
        ...['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
        'Authorization',
        authorization(
          'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
          '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
        ),
        ...['x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'],
        ...['Content-Encoding', 'aws-chunked', 'x-amz-decoded-content-length', '66560'],
        ...['Content-Length', '66824'],
      ],
    });
    expect(result).toMatchObject({
      payload: { kind: 'chunked', isSigned: true, hasTrailer: false },
    });
    if (result.kind !== 'authenticated' || result.seed === null) throw new Error('no seed');
    const a = (count: number) => Buffer.alloc(count, 'a');
    const body = Buffer.concat([
      chunk('10000', 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648', a(65536)),
      chunk('400', '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497', a(1024)),
      chunk('0', 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9', a(0)),
    ]);
    expect(body.length).toBe(66824);
    expect(body.equals(signedChunks(result.seed.signature, [a(65536), a(1024)]))).toBe(true);
    const decoder = new ChunkedDecoder({ decodedBytes: 66560, seed: result.seed, trailers: null });
    const payload: Buffer[] = [];
    decoder.push(body, (bytes) => payload.push(bytes));
    expect(decoder.finish().size).toBe(0);
    expect(Buffer.concat(payload).equals(a(66560))).toBe(true);
  });

  it('the chunked upload with a trailer', async () => {
    const result = await verifierAt().authenticate({
      method: 'PUT',
      target: '/examplebucket/chunkObject.txt',
      rawHeaders: [
        ...['Host', 's3.amazonaws.com', 'x-amz-date', EXAMPLE.timestamp],
        ...['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
        'Authorization',
        authorization(
          'content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer',
          '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
        ),
        ...['x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'],
        ...['Content-Encoding', 'aws-chunked', 'x-amz-decoded-content-length', '66560'],
        ...['x-amz-trailer', 'x-amz-checksum-crc32c'],
      ],
    });
    if (result.kind !== 'authenticated' || result.seed === null) throw new Error('no seed');
    const a = (count: number) => Buffer.alloc(count, 'a');
    const body = Buffer.concat([
      chunk('10000', 'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2', a(65536)),
      chunk('400', '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7', a(1024)),
      Buffer.from(
        '0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n' +
          'x-amz-checksum-crc32c:sOO8/Q==\r\n' +
          'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
      ),
    ]);
    const trailers = ['x-amz-checksum-crc32c'];
    const decoder = new ChunkedDecoder({ decodedBytes: 66560, seed: result.seed, trailers });
    decoder.push(body, () => {});
    expect([...decoder.finish()]).toEqual([['x-amz-checksum-crc32c', 'sOO8/Q==']]);
  });
});

function chunk(size: string, signature: string, payload: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`${size};chunk-signature=${signature}\r\n`),
    payload,
    Buffer.from('\r\n'),
  ]);
}
