import type { S3 } from '@aws-sdk/client-s3';
import type { World } from './world.ts';

/** Takes all buckets of a case away, whatever it has put into them. Throws when one stays. */
export async function cleanUp(world: World): Promise<void> {
  for (const bucket of world.buckets) {
    if (await isDeleted(world.sdk, bucket)) continue;
    await takePolicyAway(world.sdk, bucket);
    await empty(world.sdk, bucket);
    if (!(await isDeleted(world.sdk, bucket))) throw new Error(`${bucket} cannot be deleted`);
  }
}

async function isDeleted(sdk: S3, Bucket: string): Promise<boolean> {
  try {
    await sdk.deleteBucket({ Bucket });
    return true;
  } catch (error) {
    return (error as Error).name === 'NoSuchBucket';
  }
}

/** A policy of a case may deny deletes. */
async function takePolicyAway(sdk: S3, Bucket: string): Promise<void> {
  await sdk.deleteBucketPolicy({ Bucket }).catch(() => {});
}

async function empty(sdk: S3, Bucket: string): Promise<void> {
  const { Uploads = [] } = await sdk.listMultipartUploads({ Bucket });
  for (const { Key, UploadId } of Uploads) {
    await sdk.abortMultipartUpload({ Bucket, Key, UploadId });
  }
  for (;;) {
    const page = await sdk.listObjectVersions({ Bucket });
    const rows = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
    if (rows.length === 0) return;
    const results = await Promise.allSettled(
      rows.map(async ({ Key, VersionId }) => {
        await sdk
          .putObjectLegalHold({ Bucket, Key, VersionId, LegalHold: { Status: 'OFF' } })
          .catch(() => {});
        await sdk.deleteObject({ Bucket, Key, VersionId, BypassGovernanceRetention: true });
      }),
    );
    if (results.every((result) => result.status === 'rejected')) return;
  }
}
