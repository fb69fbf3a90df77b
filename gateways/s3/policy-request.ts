import type { Bucket } from '../../protocol/object-access.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import type { Call } from './call.ts';
import { copySourceOf } from './copy-headers.ts';
import { timeOf } from './credential-scope.ts';
import { type Headers, headerOf } from './headers.ts';
import type { PolicyRequest } from './policy-keys.ts';
import { arnOf, isAdministrator } from './principals.ts';
import { ALGORITHM as VERSION_4 } from './sigv4-canonical.ts';
import { type Tag, tagsOfHeader } from './tagging.ts';

/** What an operation is about. */
export interface Target {
  readonly bucket: Bucket;
  /** Empty: the bucket. */
  readonly key: string;
  readonly versionId: string | null;
  /** Of the object as it is; left out: they are read when a policy asks for them. */
  readonly existingTags?: readonly Tag[];
  /** Of the object as it is to be, where no header says them. */
  readonly newTags?: readonly Tag[];
  /** The headers of a part or a completion, with those that its upload was begun with. */
  readonly said?: Headers;
  /** By condition key. */
  readonly body?: PolicyRequest['body'];
  /** Of a form: who sent it, how it is signed (null: it is not), and the headers that its fields stand for. */
  readonly form?: {
    readonly who: S3Identity | null;
    readonly signed: Signed | null;
    readonly headers: Headers;
  };
}

/** A signature as policies see it. */
type Signed = NonNullable<PolicyRequest['signed']>;

export function headersOf(call: Call, { form, said }: Pick<Target, 'form' | 'said'>): Headers {
  return form?.headers ?? said ?? call.headers;
}

/** Null: nobody signed. */
export function whoAsks(call: Call, { form }: Pick<Target, 'form'>): S3Identity | null {
  return form === undefined ? call.who : form.who;
}

/** Whether the bucket's owner asks, or an administrator, who may do the same. */
export function isOwners(call: Call, target: Pick<Target, 'form' | 'bucket'>): boolean {
  const who = whoAsks(call, target);
  return who !== null && (who.id === target.bucket.owner || isAdministrator(who));
}

const NOTHING = {};

export function policyRequestOf(call: Call, target: Target): PolicyRequest {
  const { sender, edge, nowMs, route } = call;
  const headers = headersOf(call, target);
  const who = whoAsks(call, target);
  const principal =
    who === null ? null : { arn: arnOf(who), account: who.id, userName: who.userName };
  return {
    ...{ nowMs, region: edge.config.region, query: route.query, headers, principal },
    resourceAccount: target.bucket.owner,
    signed: target.form?.signed ?? signedBy(call),
    ...{ address: sender.address, isSecure: sender.isSecure, versionId: target.versionId },
    existingTags: target.existingTags ?? [],
    newTags: () => target.newTags ?? tagsOf(headers),
    copySource: () => copySourceIn(headers),
    body: target.body ?? NOTHING,
  };
}

function signedBy(call: Call): PolicyRequest['signed'] {
  const { signedBy: by } = call.sender;
  if (by === null) return null;
  const atMs = timeOf(call.header('x-amz-date') ?? '');
  return { by: by === 'header' ? 'REST-HEADER' : 'REST-QUERY-STRING', version: VERSION_4, atMs };
}

function tagsOf(headers: Headers): readonly Tag[] {
  const header = headerOf(headers, 'x-amz-tagging');
  return header === null ? [] : tagsOfHeader(header);
}

/** One form of it, however the client wrote it: a condition must not be passed by an escape or a slash. */
function copySourceIn(headers: Headers): string | null {
  const header = headerOf(headers, 'x-amz-copy-source');
  if (header === null) return null;
  const { bucket, key } = copySourceOf(header);
  return `${bucket}/${key}`;
}
