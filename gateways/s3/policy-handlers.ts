import { ignoresPublicAcls, publicAccessOf } from './access-settings.ts';
import { isPublicAcl } from './acl-rules.ts';
import { type Answer, emptyAnswer, xmlAnswer } from './answer.ts';
import { renderPolicyStatus } from './bucket-documents.ts';
import { type Call, noSuchBucket } from './call.ts';
import { S3Error, s3Error } from './errors.ts';
import { isPublicPolicy } from './policy-decision.ts';
import { POLICY_BYTES_MAX, readPolicy } from './policy-document.ts';
import { requestOf } from './stored-acl.ts';

async function keep(call: Call, policy: string | null): Promise<Answer> {
  const { bucket } = call.route;
  const documents = { policy };
  const done = await call.objects.buckets.change(call.context(), call.tenant, bucket, {
    documents,
  });
  if (done.type === 'no_such_bucket') throw noSuchBucket(bucket);
  return emptyAnswer(204);
}

export async function putBucketPolicy(call: Call): Promise<Answer> {
  const body = await policyBody(call);
  const bucket = await call.bucket();
  const policy = readPolicy(body, call.route.bucket);
  if (isPublicPolicy(policy) && publicAccessOf(bucket)?.blockPublicPolicy) {
    throw s3Error('AccessDenied', 'The public access block of the bucket does not allow it');
  }
  return keep(call, body.toString('utf8'));
}

async function policyBody(call: Call): Promise<Buffer> {
  try {
    const body = await call.body.document(POLICY_BYTES_MAX);
    if (body.length > 0) return body;
  } catch (error) {
    if (!(error instanceof S3Error) || error.code !== 'MaxMessageLengthExceeded') throw error;
    throw s3Error('MalformedPolicy', 'Policy exceeds the maximum allowed document size.');
  }
  throw s3Error('MissingRequestBodyError');
}

export async function getBucketPolicy(call: Call): Promise<Answer> {
  const stored = (await call.bucket()).documents['policy'];
  if (stored === undefined) throw noPolicy(call);
  return { status: 200, headers: [['content-type', 'application/json']], body: stored };
}

export async function deleteBucketPolicy(call: Call): Promise<Answer> {
  await call.bucket();
  return keep(call, null);
}

/** Public by its policy or by its ACL; there is no status where neither says anything. */
export async function getBucketPolicyStatus(call: Call): Promise<Answer> {
  const bucket = await call.bucket();
  const policy = call.edge.policies.of(bucket);
  const acl = requestOf(bucket.documents['acl'] ?? null);
  const isOpenByAcl = acl !== null && isPublicAcl(acl) && !ignoresPublicAcls(bucket);
  if (policy === null && !isOpenByAcl) throw noPolicy(call);
  const isPublic = isOpenByAcl || (policy !== null && isPublicPolicy(policy));
  return xmlAnswer(renderPolicyStatus(isPublic));
}

function noPolicy(call: Call): S3Error {
  return s3Error('NoSuchBucketPolicy', undefined, { BucketName: call.route.bucket });
}
