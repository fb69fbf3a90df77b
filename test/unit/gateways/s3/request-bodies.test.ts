import * as sdk from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { readDelete } from '../../../../gateways/s3/delete-objects.ts';
import { readComplete } from '../../../../gateways/s3/multipart-documents.ts';
import { codeOf } from '../../../kit/s3-error-code.ts';
import { SdkOracle } from '../../../kit/s3-sdk.ts';

const oracle = new SdkOracle();
const Bucket = 'bucket';
const Key = 'key';
const UploadId = 'upload';

const part = (number: number | string, more = '') =>
  `<Part><PartNumber>${number}</PartNumber><ETag>"e"</ETag>${more}</Part>`;
const complete = (inner: string) =>
  Buffer.from(`<CompleteMultipartUpload>${inner}</CompleteMultipartUpload>`);
const completion = (inner: string) => codeOf(() => readComplete(complete(inner)));
const object = (inner: string) => `<Object>${inner}</Object>`;
const deletion = (inner: string) =>
  codeOf(() => readDelete(Buffer.from(`<Delete>${inner}</Delete>`)));

describe('bodies of requests', () => {
  it('CompleteMultipartUpload as the SDK sends it', async () => {
    const { body } = await oracle.sent(
      new sdk.CompleteMultipartUploadCommand({
        Bucket,
        Key,
        UploadId,
        MultipartUpload: {
          Parts: [
            { PartNumber: 1, ETag: '"one"', ChecksumCRC32: 'AAAAAA==' },
            { PartNumber: 10_000, ETag: 'two' },
          ],
        },
      }),
    );
    expect(readComplete(body)).toEqual([
      { partNumber: 1, eTag: 'one', checksums: [{ algorithm: 'CRC32', value: 'AAAAAA==' }] },
      { partNumber: 10_000, eTag: 'two', checksums: [] },
    ]);
  });

  it('parts that are not in order or not complete are refused', () => {
    expect(completion('')).toBe('MalformedXML');
    expect(completion(part(1) + part(2))).toBe('none');
    expect(completion(part(1, '<Size>5</Size><LastModified>x</LastModified>'))).toBe('none');
    expect(completion(part(2) + part(1))).toBe('InvalidPartOrder');
    expect(completion(part(1) + part(1))).toBe('InvalidPartOrder');
    for (const number of [0, -1, 10_001]) expect(completion(part(number))).toBe('InvalidArgument');
    for (const number of ['', 'x', '1.5', '99999999999999999999']) {
      expect(completion(part(number))).toBe('MalformedXML');
    }
    expect(completion('<Part><PartNumber>1</PartNumber></Part>')).toBe('MalformedXML');
    expect(completion(part(1, '<Colour/>'))).toBe('MalformedXML');
    expect(completion(part(1, '<ChecksumXXHASH64>x</ChecksumXXHASH64>'))).toBe('NotImplemented');
  });

  it('I23 ten thousand parts are read, one more is refused, and so are 10 MB', () => {
    const parts = (count: number) => Array.from({ length: count }, (_, n) => part(n + 1)).join('');
    expect(readComplete(complete(parts(10_000)))).toHaveLength(10_000);
    expect(completion(parts(10_001))).toBe('MalformedXML');
    expect(completion(part(1) + ' '.repeat(10_000_000))).toBe('MalformedXML');
  });

  it('DeleteObjects as the SDK sends it', async () => {
    const keys = ['a&<b>', ' spaces ', 'ключ', 'cr\rlf\n'];
    const { body } = await oracle.sent(
      new sdk.DeleteObjectsCommand({
        Bucket,
        Delete: {
          Objects: [...keys.map((each) => ({ Key: each })), { Key, VersionId: 'v', ETag: '"e"' }],
          Quiet: true,
        },
      }),
    );
    expect(readDelete(body)).toEqual({
      quiet: true,
      objects: [
        ...keys.map((key) => ({ key, versionId: null, eTag: null })),
        { key: Key, versionId: 'v', eTag: 'e' },
      ],
    });
  });

  it('I23 a thousand keys are read, one more is refused, and so are 10 MB', () => {
    const keys = (count: number) => object('<Key>k</Key>').repeat(count);
    expect(deletion(keys(1000))).toBe('none');
    expect(deletion(keys(1001))).toBe('MalformedXML');
    expect(deletion(object(`<Key>${'k'.repeat(10_000_000)}</Key>`))).toBe('MalformedXML');
  });

  it('a deletion of nothing, of no key, or on a condition that is not followed is refused', () => {
    expect(deletion('')).toBe('MalformedXML');
    expect(deletion(object('<Key/>'))).toBe('UserKeyMustBeSpecified');
    expect(deletion(object('<VersionId>v</VersionId>'))).toBe('MalformedXML');
    expect(deletion(object('<Key>k</Key><Size>5</Size>'))).toBe('NotImplemented');
    expect(deletion(`${object('<Key>k</Key>')}<Quiet>maybe</Quiet>`)).toBe('MalformedXML');
    expect(deletion(`<Quiet>false</Quiet>${object('<Key>k</Key><VersionId/>')}`)).toBe('none');
  });
});
