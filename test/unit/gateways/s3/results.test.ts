import * as sdk from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Checksum } from '../../../../gateways/s3/checksum-fields.ts';
import { renderDeleteResult } from '../../../../gateways/s3/delete-objects.ts';
import { s3Error } from '../../../../gateways/s3/errors.ts';
import { renderListBuckets } from '../../../../gateways/s3/list-buckets.ts';
import {
  type ListedObject,
  renderListObjects,
  renderListObjectsV2,
  renderListUploads,
  renderListVersions,
} from '../../../../gateways/s3/list-documents.ts';
import {
  renderCompleted,
  renderCopyObject,
  renderCopyPart,
  renderInitiated,
  renderListParts,
} from '../../../../gateways/s3/multipart-documents.ts';
import {
  attributesOfHeader,
  renderObjectAttributes,
} from '../../../../gateways/s3/object-attributes.ts';
import { readXml } from '../../../../gateways/s3/xml-reader.ts';
import { codeOf } from '../../../kit/s3-error-code.ts';
import { SdkOracle } from '../../../kit/s3-sdk.ts';

const oracle = new SdkOracle();
const Bucket = 'bucket';
const Key = 'key';
const UploadId = 'upload';
const atMs = Date.parse('2026-11-23T06:09:05.123Z');
const at = new Date(atMs);
const owner = { id: 'owner-id', displayName: 'owner' };
const Owner = { ID: 'owner-id', DisplayName: 'owner' };
const crc: Checksum = { algorithm: 'CRC64NVME', value: 'AAAAAAAAAAA=' };

const listed: ListedObject = {
  key: 'a & b/<c>"\r',
  lastModifiedMs: atMs,
  eTag: 'd41d8cd98f00b204e9800998ecf8427e',
  bytes: 5_000_000_000,
  storageClass: 'STANDARD',
  checksumAlgorithm: 'CRC64NVME',
  checksumType: 'FULL_OBJECT',
  owner,
};
const Listed = {
  Key: 'a & b/<c>"\r',
  LastModified: at,
  ETag: '"d41d8cd98f00b204e9800998ecf8427e"',
  Size: 5_000_000_000,
  StorageClass: 'STANDARD',
  ChecksumAlgorithm: ['CRC64NVME'],
  ChecksumType: 'FULL_OBJECT',
  Owner,
};
const frame = {
  bucket: Bucket,
  prefix: 'p ',
  delimiter: '/',
  isUrlEncoded: false,
  isTruncated: true,
  commonPrefixes: ['p x/', 'p y/'],
};
const Frame = {
  Name: Bucket,
  Prefix: 'p ',
  Delimiter: '/',
  IsTruncated: true,
  CommonPrefixes: [{ Prefix: 'p x/' }, { Prefix: 'p y/' }],
};

describe('results as the SDK reads them', () => {
  it('ListBuckets', async () => {
    const xml = renderListBuckets({
      owner,
      buckets: [
        { name: 'one', createdMs: atMs, region: null },
        { name: 'two', createdMs: atMs, region: 'eu-west-1' },
      ],
      continuationToken: 't',
      prefix: 'o',
    });
    expect(await oracle.read(new sdk.ListBucketsCommand({}), xml)).toEqual({
      Owner,
      Buckets: [
        { Name: 'one', CreationDate: at },
        { Name: 'two', CreationDate: at, BucketRegion: 'eu-west-1' },
      ],
      ContinuationToken: 't',
      Prefix: 'o',
    });
  });

  it('ListObjects, version 1 and 2', async () => {
    const one = renderListObjects({
      ...frame,
      marker: 'm',
      nextMarker: 'n',
      maxKeys: 3,
      contents: [listed],
    });
    expect(await oracle.read(new sdk.ListObjectsCommand({ Bucket }), one)).toEqual({
      ...Frame,
      Marker: 'm',
      NextMarker: 'n',
      MaxKeys: 3,
      Contents: [Listed],
    });
    const two = renderListObjectsV2({
      ...frame,
      maxKeys: 3,
      keyCount: 3,
      continuationToken: 'c',
      nextContinuationToken: 'd',
      startAfter: 's',
      contents: [listed, { ...listed, owner: null, checksumAlgorithm: null, checksumType: null }],
    });
    const { Owner: _owner, ChecksumAlgorithm: _a, ChecksumType: _t, ...Plain } = Listed;
    expect(await oracle.read(new sdk.ListObjectsV2Command({ Bucket }), two)).toEqual({
      ...Frame,
      MaxKeys: 3,
      KeyCount: 3,
      ContinuationToken: 'c',
      NextContinuationToken: 'd',
      StartAfter: 's',
      Contents: [Listed, Plain],
    });
  });

  it('an empty listing has its prefix, and no contents', async () => {
    const xml = renderListObjects({
      ...frame,
      prefix: '',
      delimiter: null,
      isTruncated: false,
      commonPrefixes: [],
      marker: '',
      nextMarker: null,
      maxKeys: 1000,
      contents: [],
    });
    expect(await oracle.read(new sdk.ListObjectsCommand({ Bucket }), xml)).toEqual({
      Name: Bucket,
      Prefix: '',
      Marker: '',
      MaxKeys: 1000,
      IsTruncated: false,
    });
  });

  it('with encoding-type=url every key and prefix decodes to itself', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 });
    fc.assert(
      fc.property(text, text, text, (key, prefix, delimiter) => {
        const xml = renderListObjectsV2({
          ...frame,
          prefix,
          delimiter,
          isUrlEncoded: true,
          commonPrefixes: [prefix],
          maxKeys: 1,
          keyCount: 1,
          continuationToken: null,
          nextContinuationToken: null,
          startAfter: key,
          contents: [{ ...listed, key }],
        });
        // biome-ignore lint/suspicious/noControlCharactersInRegex: what strict parsers refuse.
        expect(xml).not.toMatch(/&#|[\x00-\x09\x0b-\x1f]/);
        const root = readXml(Buffer.from(xml), 100_000);
        const shown = (name: string, from = root) =>
          from.children.find((child) => child.name === name) ?? { text: '', children: [] };
        const decoded = (encoded: string) => decodeURIComponent(encoded);
        expect(shown('EncodingType').text).toBe('url');
        expect(decoded(shown('Prefix').text)).toBe(prefix);
        expect(decoded(shown('Delimiter').text)).toBe(delimiter);
        expect(decoded(shown('StartAfter').text)).toBe(key);
        expect(decoded(shown('Contents').children[0]?.text ?? '')).toBe(key);
        expect(decoded(shown('CommonPrefixes').children[0]?.text ?? '')).toBe(prefix);
      }),
    );
  });

  it('ListObjectVersions, in the order of keys', async () => {
    const marker = { key: 'k', versionId: '2', isLatest: true, lastModifiedMs: atMs, owner };
    const xml = renderListVersions({
      ...frame,
      keyMarker: 'a',
      versionIdMarker: 'v',
      nextKeyMarker: 'b',
      nextVersionIdMarker: 'w',
      maxKeys: 10,
      versions: [
        { type: 'marker', ...marker },
        { type: 'version', ...listed, versionId: 'null', isLatest: false },
      ],
    });
    expect(xml.indexOf('<DeleteMarker>')).toBeLessThan(xml.indexOf('<Version>'));
    expect(await oracle.read(new sdk.ListObjectVersionsCommand({ Bucket }), xml)).toEqual({
      ...Frame,
      KeyMarker: 'a',
      VersionIdMarker: 'v',
      NextKeyMarker: 'b',
      NextVersionIdMarker: 'w',
      MaxKeys: 10,
      DeleteMarkers: [{ Key: 'k', VersionId: '2', IsLatest: true, LastModified: at, Owner }],
      Versions: [{ ...Listed, VersionId: 'null', IsLatest: false }],
    });
  });

  it('ListMultipartUploads and ListParts', async () => {
    const uploads = renderListUploads({
      ...frame,
      keyMarker: '',
      uploadIdMarker: '',
      nextKeyMarker: 'k',
      nextUploadIdMarker: 'u',
      maxUploads: 1,
      uploads: [
        {
          key: Key,
          uploadId: UploadId,
          initiatedMs: atMs,
          storageClass: 'STANDARD',
          ...{ owner, initiator: { ...owner, id: 'by' } },
          checksumAlgorithm: 'CRC32',
          checksumType: 'COMPOSITE',
        },
      ],
    });
    const { Name: _name, ...Shown } = Frame;
    expect(await oracle.read(new sdk.ListMultipartUploadsCommand({ Bucket }), uploads)).toEqual({
      ...Shown,
      Bucket,
      KeyMarker: '',
      UploadIdMarker: '',
      NextKeyMarker: 'k',
      NextUploadIdMarker: 'u',
      MaxUploads: 1,
      Uploads: [
        {
          Key,
          UploadId,
          Initiated: at,
          StorageClass: 'STANDARD',
          ...{ Owner, Initiator: { ...Owner, ID: 'by' } },
          ChecksumAlgorithm: 'CRC32',
          ChecksumType: 'COMPOSITE',
        },
      ],
    });
    const parts = renderListParts({
      bucket: Bucket,
      key: Key,
      uploadId: UploadId,
      partNumberMarker: 0,
      nextPartNumberMarker: 2,
      maxParts: 1000,
      isTruncated: false,
      parts: [{ partNumber: 2, lastModifiedMs: atMs, eTag: 'e', bytes: 7, checksum: crc }],
      ...{ owner, initiator: { ...owner, id: 'by' } },
      storageClass: 'STANDARD',
      checksumAlgorithm: null,
      checksumType: null,
    });
    expect(await oracle.read(new sdk.ListPartsCommand({ Bucket, Key, UploadId }), parts)).toEqual({
      Bucket,
      Key,
      UploadId,
      PartNumberMarker: '0',
      NextPartNumberMarker: '2',
      MaxParts: 1000,
      IsTruncated: false,
      Parts: [
        { PartNumber: 2, LastModified: at, ETag: '"e"', Size: 7, ChecksumCRC64NVME: crc.value },
      ],
      Owner,
      Initiator: { ...Owner, ID: 'by' },
      StorageClass: 'STANDARD',
    });
  });

  it('what creates, completes and copies', async () => {
    const created = renderInitiated({ bucket: Bucket, key: 'k&', uploadId: UploadId });
    expect(
      await oracle.read(new sdk.CreateMultipartUploadCommand({ Bucket, Key }), created),
    ).toEqual({ Bucket, Key: 'k&', UploadId });
    const completed = renderCompleted({
      location: 'http://x/bucket/key',
      bucket: Bucket,
      key: Key,
      eTag: 'e-2',
      checksum: crc,
      checksumType: 'FULL_OBJECT',
    });
    expect(
      await oracle.read(
        new sdk.CompleteMultipartUploadCommand({ Bucket, Key, UploadId }),
        completed,
      ),
    ).toEqual({
      Location: 'http://x/bucket/key',
      Bucket,
      Key,
      ETag: '"e-2"',
      ChecksumCRC64NVME: crc.value,
      ChecksumType: 'FULL_OBJECT',
    });
    const copied = { eTag: 'e', lastModifiedMs: atMs, checksum: crc };
    const Copied = { ETag: '"e"', LastModified: at, ChecksumCRC64NVME: crc.value };
    const CopySource = 'a/b';
    expect(
      await oracle.read(
        new sdk.CopyObjectCommand({ Bucket, Key, CopySource }),
        renderCopyObject({ ...copied, checksumType: 'COMPOSITE' }),
      ),
    ).toEqual({ CopyObjectResult: { ...Copied, ChecksumType: 'COMPOSITE' } });
    expect(
      await oracle.read(
        new sdk.UploadPartCopyCommand({ Bucket, Key, CopySource, UploadId, PartNumber: 1 }),
        renderCopyPart(copied),
      ),
    ).toEqual({ CopyPartResult: Copied });
  });

  it('DeleteObjects', async () => {
    const command = new sdk.DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key }] } });
    const result = {
      deleted: [
        { key: 'a', versionId: null, deleteMarker: false, deleteMarkerVersionId: null },
        { key: 'b', versionId: 'v', deleteMarker: true, deleteMarkerVersionId: 'v' },
      ],
      failures: [{ key: 'c', versionId: 'w', error: s3Error('AccessDenied') }],
    };
    const Errors = [{ Key: 'c', VersionId: 'w', Code: 'AccessDenied', Message: 'Access Denied' }];
    expect(await oracle.read(command, renderDeleteResult(result, false))).toEqual({
      Deleted: [
        { Key: 'a' },
        { Key: 'b', VersionId: 'v', DeleteMarker: true, DeleteMarkerVersionId: 'v' },
      ],
      Errors,
    });
    expect(await oracle.read(command, renderDeleteResult(result, true))).toEqual({ Errors });
  });

  it('GetObjectAttributes', async () => {
    const command = new sdk.GetObjectAttributesCommand({ Bucket, Key, ObjectAttributes: ['ETag'] });
    const xml = renderObjectAttributes({
      eTag: 'e-2',
      checksum: { algorithm: 'SHA256', value: 'x-2' },
      checksumType: 'COMPOSITE',
      objectParts: {
        partsCount: 2,
        partNumberMarker: 0,
        nextPartNumberMarker: 1,
        maxParts: 1,
        isTruncated: true,
        parts: [{ partNumber: 1, bytes: 9, checksum: { algorithm: 'SHA256', value: 'x' } }],
      },
      storageClass: 'STANDARD',
      objectBytes: 12,
    });
    expect(await oracle.read(command, xml)).toEqual({
      ETag: 'e-2',
      Checksum: { ChecksumSHA256: 'x-2', ChecksumType: 'COMPOSITE' },
      ObjectParts: {
        TotalPartsCount: 2,
        PartNumberMarker: '0',
        NextPartNumberMarker: '1',
        MaxParts: 1,
        IsTruncated: true,
        Parts: [{ PartNumber: 1, Size: 9, ChecksumSHA256: 'x' }],
      },
      StorageClass: 'STANDARD',
      ObjectSize: 12,
    });
    const none = {
      eTag: null,
      checksum: null,
      checksumType: null,
      objectParts: null,
      storageClass: null,
      objectBytes: 0,
    };
    expect(await oracle.read(command, renderObjectAttributes(none))).toEqual({ ObjectSize: 0 });
    expect([...attributesOfHeader('ETag, ObjectSize')]).toEqual(['ETag', 'ObjectSize']);
    for (const header of [undefined, '']) {
      expect(codeOf(() => attributesOfHeader(header))).toBe('InvalidRequest');
    }
    for (const header of ['ETag,Colour', 'etag']) {
      expect(codeOf(() => attributesOfHeader(header))).toBe('InvalidArgument');
    }
  });
});
