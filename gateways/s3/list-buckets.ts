import type { Owner } from './acl.ts';
import { ownerElement } from './owner-element.ts';
import { isoTime, leaf, leafOr, node, nodes, s3Document } from './xml-writer.ts';

export interface ListedBucket {
  readonly name: string;
  readonly createdMs: number;
  /** Null where the client did not ask for a page. */
  readonly region: string | null;
}

export interface ListBucketsResult {
  readonly owner: Owner;
  readonly buckets: readonly ListedBucket[];
  readonly continuationToken: string | null;
  readonly prefix: string | null;
}

export function renderListBuckets(result: ListBucketsResult): string {
  const buckets = nodes(result.buckets, ({ name, createdMs, region }) =>
    node('Bucket', [
      leaf('Name', name),
      leaf('CreationDate', isoTime(createdMs)),
      leafOr('BucketRegion', region),
    ]),
  );
  return s3Document('ListAllMyBucketsResult', [
    ownerElement('Owner', result.owner),
    node('Buckets', [buckets]),
    leafOr('ContinuationToken', result.continuationToken),
    leafOr('Prefix', result.prefix),
  ]);
}
