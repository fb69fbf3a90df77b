import type { Bucket } from '../../protocol/object-access.ts';
import type { ObjectHead, ObjectRecord } from '../../protocol/objects.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import {
  bindingOf,
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
} from '../encryption/envelope.ts';
import { KEY_BYTES, unwrapKey, wrapKey } from '../encryption/key-wrap.ts';
import { ObjectKey } from '../encryption/object-key.ts';
import type { HeaderPair } from './answer.ts';
import { requestIn } from './bucket-encryption.ts';
import type { Call } from './call.ts';
import {
  bucketKeyOf,
  type CustomerKey,
  customerKeyOf,
  type EncryptionRequest,
  encryptionOf,
} from './encryption-headers.ts';
import { invalidArgument, type S3Error, s3Error } from './errors.ts';
import {
  checkIsSomebody,
  type NamedRequest,
  namedHeaders,
  type SealingKeys,
  unwrappedNamed,
  wrapped,
} from './named-encryption.ts';

const SSE = 'x-amz-server-side-encryption';

/** How the bytes of one object are sealed, and what answers say of it. */
export interface Sealing {
  readonly key: ObjectKey;
  /** Of the record; see envelope.ts. */
  readonly envelope: Uint8Array;
  /** Its ETag is no MD5 of what the client sent: with SSE-C and SSE-KMS, as in S3. */
  readonly hasOwnETag: boolean;
  readonly headers: readonly HeaderPair[];
}

/** Of a new object or upload; null: it is not encrypted. */
export async function newSealing(
  call: Call,
  bucket: Bucket,
  ref: KeyRef,
  asked: EncryptionRequest | null,
): Promise<Sealing | null> {
  const request = requestIn(bucket, asked, bucketKeyOf(call.headers));
  if (request === null) return null;
  if (request.type === 'SSE-KMS') checkIsSomebody(call);
  const { keys, random } = call.edge.http;
  if (request.type !== 'SSE-C') {
    const context = () => call.context();
    return namedSealing({ keys, random, context }, ref, request);
  }
  const key = random.bytes(KEY_BYTES);
  const { customerKey } = request;
  const wrapped = wrapKey(customerKey.key, key, bindingOf(ref, null), random);
  return {
    key: new ObjectKey(key),
    envelope: encodeEnvelope({ type: 'customer', wrapped }),
    hasOwnETag: true,
    headers: customerHeaders(customerKey),
  };
}

/** Of an object that no request asks for: as its bucket has it by default. */
export async function defaultSealing(
  keys: SealingKeys,
  bucket: Bucket,
  ref: KeyRef,
): Promise<Sealing | null> {
  const request = requestIn(bucket, null, null);
  return request === null || request.type === 'SSE-C' ? null : namedSealing(keys, ref, request);
}

async function namedSealing(
  keys: SealingKeys,
  ref: KeyRef,
  request: NamedRequest,
): Promise<Sealing> {
  const key = keys.random.bytes(KEY_BYTES);
  const made = await wrapped(keys, ref, request, key);
  const envelope = encodeEnvelope(made);
  const headers: HeaderPair[] = [...namedHeaders(made)];
  if (request.type === 'SSE-KMS' && request.context !== null) {
    headers.push([`${SSE}-context`, request.context]);
  }
  const hasOwnETag = made.algorithm !== 'AES256';
  return { key: new ObjectKey(key), envelope, hasOwnETag, headers };
}

export function sealedHead(head: ObjectHead, sealing: Sealing | null): ObjectHead {
  return sealing === null ? head : { ...head, encryption: sealing.envelope };
}

/** For a part of an upload that has begun. Throws InvalidRequest where the request says otherwise than its beginning. */
export async function partSealing(
  call: Call,
  ref: KeyRef,
  { encryption }: ObjectHead,
): Promise<Sealing | null> {
  const given = encryptionOf(call.headers);
  const customerKey = given?.type === 'SSE-C' ? given.customerKey : null;
  if (given !== null && customerKey === null) throw notHere(call.header(SSE) ?? '');
  if (encryption === null || decodeEnvelope(encryption).type !== 'customer') {
    if (customerKey !== null) throw s3Error('InvalidRequest', NOT_ASKED_FOR);
    if (encryption === null) return null;
  } else if (customerKey === null) throw s3Error('InvalidRequest', ASKED_FOR);
  const envelope = decodeEnvelope(encryption);
  const key = await unwrapped(call, ref, envelope, customerKey);
  if (key === null) throw s3Error('InvalidRequest', OTHER_THAN_BEGUN);
  const hasOwnETag = envelope.type === 'customer' || envelope.algorithm !== 'AES256';
  const headers = shownEncryption(encryption, customerKey);
  return { key: new ObjectKey(key), envelope: encryption, hasOwnETag, headers };
}

const ASKED_FOR =
  'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.';
const NOT_ASKED_FOR =
  'The multipart upload initiate did not request encryption. Please resend the request without sending encryption parameters.';
const OTHER_THAN_BEGUN =
  'The provided encryption parameters did not match the ones used originally.';

/** What an object is opened with; null: it is not encrypted. */
export interface Reading {
  readonly key: ObjectKey | null;
  readonly headers: readonly HeaderPair[];
}

const PLAIN: Reading = { key: null, headers: [] };

/** Of a read of the object that the request names. Throws InvalidRequest, AccessDenied, InvalidArgument. */
export async function readingOf(call: Call, record: ObjectRecord): Promise<Reading> {
  for (const name of [SSE, `${SSE}-aws-kms-key-id`, `${SSE}-context`]) {
    const given = call.header(name);
    if (given !== null) throw notHere(given, name);
  }
  return openedWith(call, call.ref, record, customerKeyOf(call.headers));
}

/** The same with a key that is given otherwise, as for the source of a copy. */
export async function openedWith(
  call: Call,
  ref: KeyRef,
  { head: { encryption } }: ObjectRecord,
  customerKey: CustomerKey | null,
): Promise<Reading> {
  if (encryption === null) {
    if (customerKey !== null) throw notApplicable();
    return PLAIN;
  }
  const envelope = decodeEnvelope(encryption);
  if (envelope.type === 'customer' && customerKey === null) throw s3Error('InvalidRequest', NEEDED);
  if (envelope.type !== 'customer' && customerKey !== null) throw notApplicable();
  const key = await unwrapped(call, ref, envelope, customerKey);
  if (key === null) throw s3Error('AccessDenied');
  return { key: new ObjectKey(key), headers: shownEncryption(encryption, customerKey) };
}

const NEEDED =
  'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.';

function notApplicable(): S3Error {
  return s3Error('InvalidRequest', 'The encryption parameters are not applicable to this object.');
}

function notHere(value: string, name = SSE): S3Error {
  const message = `${name} header is not supported for this operation.`;
  return invalidArgument(message, name, value.slice(0, 64));
}

/** Null: this key is not the one. */
async function unwrapped(
  call: Call,
  ref: KeyRef,
  envelope: Envelope,
  customerKey: CustomerKey | null,
): Promise<Buffer | null> {
  if (envelope.type !== 'customer') return unwrappedNamed(call, ref, envelope);
  return customerKey === null
    ? null
    : unwrapKey(customerKey.key, envelope.wrapped, bindingOf(ref, null));
}

/** What answers say of an object that is there. */
export function shownEncryption(
  encryption: Uint8Array | null,
  customerKey: CustomerKey | null,
): readonly HeaderPair[] {
  if (encryption === null) return [];
  const envelope = decodeEnvelope(encryption);
  if (envelope.type === 'customer') return customerKey === null ? [] : customerHeaders(customerKey);
  return namedHeaders(envelope);
}

function customerHeaders({ keyMd5 }: CustomerKey): HeaderPair[] {
  return [
    [`${SSE}-customer-algorithm`, 'AES256'],
    [`${SSE}-customer-key-md5`, keyMd5],
  ];
}

/** Whether a request brings a key along: not over a link that others may read. */
export function bringsKey(headers: ReadonlyMap<string, string>): boolean {
  return (
    headers.has(`${SSE}-customer-key`) ||
    headers.has('x-amz-copy-source-server-side-encryption-customer-key')
  );
}

const LOOPBACK = /^(?:::ffff:)?127\.|^::1$/;

/** Without TLS what leaves the machine is for others to read, unless the network is trusted. */
export function checkLink(call: Call): void {
  if (
    call.sender.isSecure ||
    call.edge.config.customerKeysOverHttp ||
    LOOPBACK.test(call.remoteAddress())
  )
    return;
  throw s3Error(
    'InvalidRequest',
    'Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.',
  );
}
