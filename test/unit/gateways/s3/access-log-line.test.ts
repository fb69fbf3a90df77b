import { expect, it } from 'vitest';
import { accessLogLine, type LoggedRequest } from '../../../../gateways/s3/access-log-line.ts';

const SEEN: LoggedRequest = {
  ...{ owner: 'abc', bucket: 'bkt', atMs: Date.UTC(2026, 1, 6, 0, 0, 38), address: '192.0.2.3' },
  ...{
    requester: 'abc',
    requestId: 'r1',
    operation: 'GetObject',
    method: 'GET',
    subResource: null,
  },
  ...{ key: 'a b', url: '/bkt/a%20b?versionId=7', status: 200, errorCode: null },
  ...{ sentBytes: 12, objectBytes: 34, totalMs: 5.4, turnAroundMs: 3.6 },
  ...{ referer: 'http://a/', userAgent: 'curl "x"', versionId: '7', signedBy: 'header' },
  host: 's3.test',
};

/** Fields, with those in quotation marks and brackets whole. */
const fields = (line: string) => line.trimEnd().match(/"[^"]*"|\[[^\]]*\]|\S+/g) ?? [];

it('has the fields of S3, in their order', () => {
  expect(accessLogLine(SEEN)).toBe(
    'abc bkt [06/Feb/2026:00:00:38 +0000] 192.0.2.3 abc r1 REST.GET.OBJECT a%20b ' +
      '"GET /bkt/a%20b?versionId=7 HTTP/1.1" 200 - 12 34 5 4 "http://a/" "curl %22x%22" 7 r1 ' +
      'SigV4 - AuthHeader s3.test - - -\n',
  );
  const anonymous = {
    ...{
      requester: null,
      signedBy: null,
      referer: null,
      userAgent: null,
      host: null,
      address: null,
    },
    ...{ key: '', sentBytes: 0, objectBytes: null, versionId: null, errorCode: 'AccessDenied' },
  };
  expect(accessLogLine({ ...SEEN, ...anonymous, status: 403 })).toBe(
    'abc bkt [06/Feb/2026:00:00:38 +0000] - - r1 REST.GET.BUCKET - ' +
      '"GET /bkt/a%20b?versionId=7 HTTP/1.1" 403 AccessDenied - - 5 4 "-" "-" - r1 - - - - - - -\n',
  );
});

it('names operations by method and resource', () => {
  const named = (change: Partial<LoggedRequest>) =>
    fields(accessLogLine({ ...SEEN, ...change }))[6];
  expect(named({ method: 'PUT', operation: 'CopyObject' })).toBe('REST.COPY.OBJECT');
  expect(named({ subResource: 'acl' })).toBe('REST.GET.ACL');
  expect(named({ key: '', subResource: 'policy' })).toBe('REST.GET.BUCKETPOLICY');
  expect(named({ method: 'POST', key: '', subResource: 'delete' })).toBe(
    'REST.POST.MULTI_OBJECT_DELETE',
  );
  expect(named({ operation: 'website' })).toBe('WEBSITE.GET.OBJECT');
  expect(named({ method: 'PUT', operation: 'UploadPart', subResource: 'uploadId' })).toBe(
    'REST.PUT.PART',
  );
});

it('is one line of 26 fields whatever a client sends, and tells no signature', () => {
  const bad = '" \n\r\u0000 x';
  const line = accessLogLine({ ...SEEN, key: bad, url: `/${bad}`, referer: bad, userAgent: bad });
  expect(line.indexOf('\n')).toBe(line.length - 1);
  expect(fields(line)).toHaveLength(26);
  // The two are not in quotation marks, and come from the query and from a header as they are.
  const forged = accessLogLine({ ...SEEN, versionId: `1\n${line}`, host: `h "a" ü\r\n` });
  expect(forged.indexOf('\n')).toBe(forged.length - 1);
  expect(fields(forged)).toHaveLength(26);
  expect(fields(forged)[22]).toBe('h%20%22a%22%20%C3%BC%0D%0A');
  expect(accessLogLine({ ...SEEN, host: '[::1]:9000' })).toContain(' [::1]:9000 - - -');
  const url = '/bkt/k?X-Amz-Date=1&X-Amz-Signature=5ec7e7&x-amz-security-token=5ec7e7';
  const presigned = accessLogLine({ ...SEEN, url, signedBy: 'query' });
  expect(presigned).toContain('X-Amz-Date=1&X-Amz-Signature=-&x-amz-security-token=-');
  expect(presigned).not.toContain('5ec7e7');
  expect(fields(presigned)[21]).toBe('QueryString');
});
