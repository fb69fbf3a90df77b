import { AppError } from '../../protocol/errors.ts';
import type { ObjectResult } from '../../protocol/object-ops.ts';
import { S3_ERRORS } from './error-table.ts';
import { type S3Error as Refusal, S3Error, s3Error } from './errors.ts';

/** What a refusal of the store is to S3 clients. `isMatch`: the request had If-Match. */
export function refusalOf(result: ObjectResult, isMatch = false): Refusal {
  switch (result.type) {
    case 'no_such_bucket':
      return s3Error('NoSuchBucket');
    case 'precondition_failed':
      if (isMatch && result.etag === null) return s3Error('NoSuchKey');
      return s3Error('PreconditionFailed', undefined, {
        Condition: isMatch ? 'If-Match' : 'If-None-Match',
      });
    case 'no_such_key':
      return s3Error('NoSuchKey');
    case 'no_such_version':
      return s3Error('NoSuchVersion');
    case 'method_not_allowed':
      return s3Error('MethodNotAllowed', undefined, { ResourceType: 'DeleteMarker' });
    case 'object_locked':
      return s3Error('AccessDenied', 'Access Denied because object protected by object lock.');
    case 'lock_refused':
      return result.why === 'no_object_lock'
        ? s3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration')
        : s3Error('InvalidArgument', 'The retain until date must be in the future!');
    case 'ttl_refused':
      return s3Error(
        'InvalidRequest',
        'Objects of a bucket with versions cannot expire by X-Minikv-TTL',
      );
    case 'no_such_upload':
      return s3Error('NoSuchUpload');
    case 'invalid_part':
      return s3Error('InvalidPart', undefined, { PartNumber: result.number });
    case 'invalid_part_order':
      return s3Error('InvalidPartOrder');
    case 'entity_too_small':
      return s3Error('EntityTooSmall', undefined, {
        ...{ PartNumber: result.number, ProposedSize: result.size },
      });
    case 'too_large':
      return s3Error('EntityTooLarge');
    case 'malformed':
      return s3Error('InvalidRequest');
    case 'no_room':
      return s3Error('QuotaExceeded', `The quota of ${result.short[0]?.scope} has no room for it.`);
    case 'data_stale':
      return new S3Error(
        'RequestTimeout',
        S3_ERRORS.RequestTimeout.message,
        {},
        { retryAfterMs: 0 },
      );
    default:
      return s3ErrorOfUnexpected(result.type);
  }
}

/** The router deals with the others, or they are no refusals. */
function s3ErrorOfUnexpected(type: string): Refusal {
  const cause = new AppError('internal', `the store answered ${type}`);
  return new S3Error('InternalError', S3_ERRORS.InternalError.message, {}, { cause });
}
