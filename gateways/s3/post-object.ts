import { latin1, utf8 } from '../../protocol/bytes.ts';
import { isForeignOrigin } from '../http/screen.ts';
import { isGrantedByBucket } from './acl-grants.ts';
import { checkNewAcl, resolvedPut } from './acl-rules.ts';
import type { Answer, HeaderPair } from './answer.ts';
import { BodyDigests, type BodyFacts } from './body-digests.ts';
import type { Call } from './call.ts';
import { contentMd5Of, declaredChecksumOf } from './declared-checksum.ts';
import { quoted } from './entity-tags.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { boundaryOf, type FormHead, FormReader } from './form-reader.ts';
import type { Headers } from './headers.ts';
import { expirationHeader } from './lifecycle-handlers.ts';
import { checkLink, newSealing, type Sealing } from './object-encryption.ts';
import { objectHeadOf } from './object-head.ts';
import { checkObjectKey } from './object-key.ts';
import { ownerOfNew } from './object-owner.ts';
import { checkMayDo, checkRole } from './permissions.ts';
import { ACTIONS } from './policy-actions.ts';
import type { Target } from './policy-request.ts';
import { checkLengthRange, type LengthRange } from './post-policy.ts';
import { authenticatePost, type PostAuthor } from './post-signature.ts';
import { type PutHeaders, putHeadersOf } from './put-headers.ts';
import { writtenHeaders } from './put-object.ts';
import { type Payload, PUT_BYTES_MAX } from './request-body.ts';
import { ALGORITHM } from './sigv4-canonical.ts';
import { objectTagging } from './tagging.ts';
import { versionHeader } from './versions.ts';
import { conditionOf, type WrittenObject, writeObject } from './write-object.ts';
import { leaf, node, xmlDocument } from './xml-writer.ts';

/** A form upload: who may is said by the signed policy in the form, or by the bucket. */
export async function postObject(call: Call): Promise<Answer> {
  const reader = new FormReader(call.body.raw(), boundaryOf(call.header('content-type') ?? ''));
  const form = await reader.head();
  const key = keyOf(form);
  const fields = new Map(form.fields).set('key', key);
  const author = await authenticatePost({ fields, bucket: call.route.bucket }, call.edge.verifier, {
    ...{ clock: call.edge.http.clock, region: call.edge.config.region },
  });
  const isSigned = author.kind === 'authenticated';
  // Whose buckets there are depends on it.
  if (isSigned) call.isSentBy(author.credentials.identity);
  const bucket = await call.bucket();
  const lengthRange = author.kind === 'anonymous' ? null : author.lengthRange;
  const { who } = call;
  checkRole(call, who);
  if (!isSigned && !isGrantedByBucket(bucket, null, 'WRITE')) checkFormOrigin(call);
  const success = successOf(fields);
  const headers = headersOf(form, isSigned);
  const said = putOf(form, headers, call.nowMs);
  await checkMayDo(call, ACTIONS.PostObject, {
    ...{ bucket, key, versionId: null, newTags: said.tags },
    form: { who, signed: signatureOf(author), headers },
  });
  const put = await resolvedPut(call, said);
  const head = { ...objectHeadOf(put), owner: ownerOfNew(bucket, who, put.acl) };
  checkNewAcl(bucket, put.acl);
  const condition = conditionOf(call);
  const ttlMs = put.ttlSeconds === null ? null : put.ttlSeconds * 1000;
  const ref = call.refOf(call.route.bucket, key);
  if (put.encryption?.type === 'SSE-C') checkLink(call);
  const sealing = await newSealing(call, bucket, ref, put.encryption);
  const object = { ref, head, ttlMs, condition, sealing };
  const payload = filePayload(reader, fields, lengthRange, sealing);
  const written = await writeObject(call, bucket, object, payload, ({ bytes }) => {
    if (lengthRange !== null) checkLengthRange(lengthRange, bytes);
  });
  const version = versionHeader(bucket, written.versionId);
  const current = { key: object.ref.key, head, ...written };
  return answerOf(call, key, written, success, [
    ...writtenHeaders(written),
    ...(sealing?.headers ?? []),
    ...version,
    ...expirationHeader(call, bucket, current),
  ]);
}

/** As policies see it. Who signs the request of the form, signs as for any. */
function signatureOf(author: PostAuthor<unknown>): NonNullable<Target['form']>['signed'] {
  if (author.kind === 'anonymous') return null;
  const { signedAtMs: atMs } = author;
  return { by: 'POST', version: atMs === null ? 'AWS' : ALGORITHM, atMs };
}

/** Where nobody has to sign, the page that sends the form must not be another site's. */
function checkFormOrigin(call: Call): void {
  if (call.sender.who === null) return;
  const { origin, host } = call.headers;
  const req = { headers: { origin, host } } as Parameters<typeof isForeignOrigin>[0];
  if (isForeignOrigin(req, call.edge.http.config.allowedOrigins ?? []))
    throw s3Error('AccessDenied');
}

function keyOf({ fields, fileName }: FormHead): string {
  const given = fields.get('key');
  if (given === undefined) {
    throw invalidArgument(
      "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
      'key',
      '',
    );
  }
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the form's own variable.
  const key = given.replaceAll('${filename}', fileName);
  if (key === '') throw invalidArgument('User key must have a length greater than 0.', 'key', '');
  checkObjectKey(key);
  return key;
}

/** Fields that mean what the header of that name means. */
const CONTENT_FIELDS = [
  ...['cache-control', 'content-type', 'content-disposition', 'content-encoding'],
  ...['content-language', 'expires', 'x-minikv-ttl'],
];

/** Of a signed form the file's own type counts for nothing: its author has not spoken of it. */
function headersOf({ fields, fileType }: FormHead, isSigned: boolean): Headers {
  const headers: Record<string, string> = {};
  if (fileType !== null && !isSigned) headers['content-type'] = fileType;
  for (const [name, value] of fields) {
    if (name.startsWith('x-amz-') || CONTENT_FIELDS.includes(name))
      headers[name] = latin1(utf8(value));
    else if (name === 'acl') headers['x-amz-acl'] = value;
  }
  return headers;
}

function putOf({ fields }: FormHead, headers: Headers, nowMs: number): PutHeaders {
  const put = putHeadersOf(headers, nowMs);
  const tagging = fields.get('tagging');
  if (tagging === undefined) return put;
  return { ...put, tags: objectTagging.read(Buffer.from(tagging)) };
}

/** The file, checked against what fields say of it. */
function filePayload(
  reader: FormReader,
  fields: ReadonlyMap<string, string>,
  range: LengthRange | null,
  sealing: Sealing | null,
): Payload {
  const bytesMax = Math.min(PUT_BYTES_MAX, range?.max ?? PUT_BYTES_MAX);
  const digests = new BodyDigests({
    ...{ payload: null, defaultChecksum: null },
    hasETag: sealing === null || !sealing.hasOwnETag,
    ...{ contentMd5: contentMd5Of(fields), checksum: declaredChecksumOf(fields) },
  });
  let facts: BodyFacts | null = null;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const piece of reader.file()) {
      bytes += piece.length;
      if (bytes > bytesMax) checkLengthRange({ min: 0, max: bytesMax }, bytes);
      digests.update(piece);
      yield piece;
    }
    facts = digests.finish(new Map());
  }
  return {
    [Symbol.asyncIterator]: pieces,
    facts() {
      if (facts === null) throw s3Error('MalformedPOSTRequest');
      return facts;
    },
  };
}

interface Success {
  readonly status: 200 | 201 | 204;
  /** Null: no redirect. */
  readonly redirect: URL | null;
}

function successOf(fields: ReadonlyMap<string, string>): Success {
  const given = fields.get('success_action_status');
  const status = given === '200' ? 200 : given === '201' ? 201 : 204;
  const target = fields.get('success_action_redirect') ?? fields.get('redirect') ?? '';
  const isUrl = URL.canParse(target) && /^https?:$/.test(new URL(target).protocol);
  return { status, redirect: isUrl ? new URL(target) : null };
}

function answerOf(
  call: Call,
  key: string,
  { etag }: WrittenObject,
  { status, redirect }: Success,
  headers: readonly HeaderPair[],
): Answer {
  const { bucket } = call.route;
  if (redirect !== null) {
    redirect.searchParams.set('bucket', bucket);
    redirect.searchParams.set('key', key);
    redirect.searchParams.set('etag', quoted(etag));
    return { status: 303, headers: [...headers, ['location', redirect.href]], body: '' };
  }
  const path = key.split('/').map(encodeURIComponent).join('/');
  const location = `${call.origin()}/${bucket}/${path}`;
  const all: HeaderPair[] = [...headers, ['location', location]];
  if (status !== 201) return { status, headers: all, body: status === 204 ? null : '' };
  const fields = [leaf('Location', location), leaf('Bucket', bucket), leaf('Key', key)];
  const body = xmlDocument(node('PostResponse', [...fields, leaf('ETag', quoted(etag))]));
  return { status, headers: [['content-type', 'application/xml'], ...all], body };
}
