import { s3Error } from './errors.ts';
import { choice, flag, text } from './xml-scalars.ts';
import { document, many, maybe, one, otherwise, type Shape, struct } from './xml-shape.ts';

export type SseAlgorithm = 'AES256' | 'aws:kms' | 'aws:kms:dsse';
export const SSE_ALGORITHMS = ['AES256', 'aws:kms', 'aws:kms:dsse'] as const;

export interface ServerSideEncryptionRule {
  readonly byDefault: {
    readonly kmsMasterKeyId: string | null;
    readonly sseAlgorithm: SseAlgorithm;
  } | null;
  readonly bucketKeyEnabled: boolean;
  /** `SSE-C` refuses writes with keys of customers; `NONE` refuses nothing. */
  readonly blockedEncryptionTypes: {
    readonly types: readonly ('NONE' | 'SSE-C')[];
  } | null;
}

export interface ServerSideEncryptionConfiguration {
  readonly rules: readonly ServerSideEncryptionRule[];
}

const rule: Shape<ServerSideEncryptionRule> = struct({
  byDefault: maybe(
    'ApplyServerSideEncryptionByDefault',
    struct<{ kmsMasterKeyId: string | null; sseAlgorithm: SseAlgorithm }>({
      kmsMasterKeyId: maybe('KMSMasterKeyID', text(1, 2048)),
      sseAlgorithm: one('SSEAlgorithm', choice(SSE_ALGORITHMS)),
    }),
  ),
  bucketKeyEnabled: otherwise(maybe('BucketKeyEnabled', flag), false),
  blockedEncryptionTypes: maybe(
    'BlockedEncryptionTypes',
    struct<{ types: readonly ('NONE' | 'SSE-C')[] }>({
      types: many('EncryptionType', choice(['NONE', 'SSE-C']), 1, 2),
    }),
  ),
});

export const serverSideEncryptionConfiguration = document<ServerSideEncryptionConfiguration>(
  'ServerSideEncryptionConfiguration',
  struct({ rules: many('Rule', rule, 1, 1) }),
  { check: ({ rules }) => rules.forEach(checkRule) },
);

function checkRule({ byDefault }: ServerSideEncryptionRule): void {
  if (byDefault?.sseAlgorithm !== 'AES256' || byDefault.kmsMasterKeyId === null) return;
  throw s3Error(
    'InvalidArgument',
    'a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse',
    { ArgumentName: 'ApplyServerSideEncryptionByDefault' },
  );
}
