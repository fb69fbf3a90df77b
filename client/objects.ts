/** Objects of the S3 endpoint in transactions. */

/** The current version of an object in a comparison. An absent one has revision 0, and neither ETag nor version. */
export type ObjectCompare = {
  readonly object: { readonly bucket: string; readonly key: string };
} & (
  | { readonly op?: '=' | '!=' | undefined; readonly etag: string }
  | { readonly op?: '=' | '!=' | undefined; readonly versionId: string }
  | { readonly op?: '=' | '!=' | undefined; readonly exists: boolean }
  | { readonly op?: '=' | '!=' | '<' | '>' | undefined; readonly revision: number }
);

/** What a transaction does with an object; without `versionId` it is about the current version. */
export type ObjectOperation =
  | { readonly op: 'headObject'; readonly bucket: string; readonly key: string }
  | {
      /** A delete marker where the bucket has versions; one version for good with `versionId`. */
      readonly op: 'deleteObject';
      readonly bucket: string;
      readonly key: string;
      readonly versionId?: string | undefined;
    }
  | {
      /** All its tags are these then. Fails with `object_not_found`. */
      readonly op: 'putObjectTags';
      readonly bucket: string;
      readonly key: string;
      readonly versionId?: string | undefined;
      readonly tags: Readonly<Record<string, string>>;
    };

export interface ObjectHead {
  readonly size: number;
  readonly etag: string;
  /** `null`, as text, where the bucket has no versions. */
  readonly versionId: string;
  /** ISO 8601. */
  readonly lastModified: string;
  readonly contentType?: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
}

export type ObjectOperationResult =
  /** Null, and revision 0: there is no such object. */
  | { readonly op: 'headObject'; readonly revision: number; readonly object: ObjectHead | null }
  | {
      readonly op: 'deleteObject';
      /** False, and revision 0: there was nothing to delete. */
      readonly deleted: boolean;
      readonly revision: number;
      /** Of what was deleted, or of the marker that says so. */
      readonly versionId?: string;
      /** A delete marker was made, or deleted. */
      readonly deleteMarker: boolean;
    }
  | { readonly op: 'putObjectTags'; readonly revision: number; readonly versionId?: string };

/** A result as it comes. */
interface RawObjectResult {
  readonly revision?: number;
  readonly object?: ObjectHead;
  readonly deleted?: boolean;
  readonly versionId?: string;
  readonly deleteMarker?: boolean;
}

export function isObjectOperation(operation: {
  readonly op: string;
}): operation is ObjectOperation {
  const { op } = operation;
  return op === 'headObject' || op === 'deleteObject' || op === 'putObjectTags';
}

export function objectResultOf(
  { op }: ObjectOperation,
  raw: RawObjectResult,
): ObjectOperationResult {
  const { revision = 0, versionId } = raw;
  const named = versionId === undefined ? {} : { versionId };
  switch (op) {
    case 'headObject':
      return { op, revision, object: raw.object ?? null };
    case 'deleteObject': {
      const { deleted = false, deleteMarker = false } = raw;
      return { op, deleted, revision, ...named, deleteMarker };
    }
    case 'putObjectTags':
      return { op, revision, ...named };
  }
}
