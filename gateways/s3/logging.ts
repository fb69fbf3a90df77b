import { type Grantee, granteeShape } from './acl.ts';
import { choice, empty, text } from './xml-scalars.ts';
import { document, many, maybe, one, type Shape, struct, wrapped } from './xml-shape.ts';

export interface TargetGrant {
  readonly grantee: Grantee;
  readonly permission: 'FULL_CONTROL' | 'READ' | 'WRITE';
}

/** One of the two; `simplePrefix` where neither is given. */
export interface TargetObjectKeyFormat {
  readonly simplePrefix: true | null;
  readonly partitionedPrefix: {
    readonly partitionDateSource: 'EventTime' | 'DeliveryTime' | null;
  } | null;
}

export interface LoggingEnabled {
  readonly targetBucket: string;
  readonly targetGrants: readonly TargetGrant[];
  readonly targetPrefix: string;
  readonly targetObjectKeyFormat: TargetObjectKeyFormat | null;
}

/** Null switches logging off. */
export interface BucketLoggingStatus {
  readonly loggingEnabled: LoggingEnabled | null;
}

const grant: Shape<TargetGrant> = struct({
  grantee: one('Grantee', granteeShape),
  permission: one('Permission', choice(['FULL_CONTROL', 'READ', 'WRITE'])),
});

const keyFormat: Shape<TargetObjectKeyFormat> = struct({
  partitionedPrefix: maybe(
    'PartitionedPrefix',
    struct<{ readonly partitionDateSource: 'EventTime' | 'DeliveryTime' | null }>({
      partitionDateSource: maybe('PartitionDateSource', choice(['EventTime', 'DeliveryTime'])),
    }),
  ),
  simplePrefix: maybe('SimplePrefix', empty),
});

const enabled: Shape<LoggingEnabled> = struct({
  targetBucket: one('TargetBucket', text(3, 63)),
  targetGrants: wrapped('TargetGrants', many('Grant', grant, 0, 100)),
  targetObjectKeyFormat: maybe('TargetObjectKeyFormat', keyFormat),
  targetPrefix: one('TargetPrefix', text(0, 1024)),
});

export const bucketLoggingStatus = document<BucketLoggingStatus>(
  'BucketLoggingStatus',
  struct({ loggingEnabled: maybe('LoggingEnabled', enabled) }),
);
