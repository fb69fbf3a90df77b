import { contentsOf } from './answers.ts';
import { S3Failure } from './s3-client.ts';
import type { S3Store } from './store.ts';

/**
 * Settings of a bucket go over as the documents that they are: what the source answers, the target is given. Not
 * ACLs: they name users of the old store.
 */
export interface SettingsPlan {
  readonly bucket: string;
  readonly target: string;
}

export interface SettingFailure {
  /** Of the sub-resource. */
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

export interface MirroredSettings {
  readonly copied: readonly string[];
  readonly failures: readonly SettingFailure[];
}

/** By sub-resource, the root of its document; null: JSON. */
const DOCUMENTS: Readonly<Record<string, string | null>> = {
  encryption: 'ServerSideEncryptionConfiguration',
  tagging: 'Tagging',
  cors: 'CORSConfiguration',
  website: 'WebsiteConfiguration',
  ownershipControls: 'OwnershipControls',
  publicAccessBlock: 'PublicAccessBlockConfiguration',
  policy: null,
  lifecycle: 'LifecycleConfiguration',
  'object-lock': 'ObjectLockConfiguration',
  notification: 'NotificationConfiguration',
  logging: 'BucketLoggingStatus',
};

/** What objects have to find when they come. */
export const SETTINGS_BEFORE: readonly string[] = ['encryption'];

/** What would act on objects that are still being copied: rules that remove them, retention that others get by default. */
export const SETTINGS_AFTER: readonly string[] = Object.keys(DOCUMENTS).filter(
  (name) => !SETTINGS_BEFORE.includes(name),
);

/** Codes of those that know no such thing. */
const UNKNOWN = new Set(['NotImplemented', 'MethodNotAllowed', 'XNotImplemented']);

/** Gives what was copied and what was refused; only what both sides should know can fail. */
export async function mirrorSettings(
  from: S3Store,
  to: S3Store,
  { bucket, target }: SettingsPlan,
  names: readonly string[],
): Promise<MirroredSettings> {
  const copied: string[] = [];
  const failures: SettingFailure[] = [];
  for (const name of names) {
    try {
      const document = await documentOf(from, bucket, name);
      if (document === null) continue;
      await to.putSetting(target, name, document);
      copied.push(name);
    } catch (error) {
      if (!(error instanceof S3Failure)) throw error;
      failures.push({ name, code: error.code, message: error.message });
    }
  }
  return { copied, failures };
}

/** Null: the source has none, or does not know of such. */
async function documentOf(from: S3Store, bucket: string, name: string): Promise<Buffer | null> {
  let body: Buffer | null;
  try {
    body = await from.setting(bucket, name);
  } catch (error) {
    if (error instanceof S3Failure && (error.status === 501 || UNKNOWN.has(error.code)))
      return null;
    throw error;
  }
  if (body === null || body.length === 0) return null;
  const root = DOCUMENTS[name] ?? null;
  if (root === null) return body;
  // Some stores answer a sub-resource that they do not know with a listing; an empty document sets nothing.
  const contents = contentsOf(body);
  return contents.name === root && contents.count > 0 ? body : null;
}
