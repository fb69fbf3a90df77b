/**
 * The S3 error codes that our operations can need, by status, with the messages of the S3 API reference
 * ("Error responses", as of 2026). Where the reference's list lacks a code that S3 gives, the row says so.
 */
const BY_STATUS = {
  301: {
    PermanentRedirect:
      'The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.',
  },
  304: {
    NotModified: 'Not Modified',
  },
  400: {
    AccessControlListNotSupported: 'The bucket does not allow ACLs',
    AuthorizationHeaderMalformed: 'The authorization header you provided is invalid.',
    AuthorizationQueryParametersError: 'The authorization query parameters are not valid.',
    BadDigest:
      'The Content-MD5 or checksum value that you specified did not match what we received.',
    BadRequest: 'Bad Request',
    ContentSHA256Mismatch: 'The provided x-amz-content-sha256 does not match what was computed.',
    EntityTooLarge: 'Your proposed upload exceeds the maximum allowed object size.',
    EntityTooSmall: 'Your proposed upload is smaller than the minimum allowed object size.',
    ExpiredToken: 'The provided token has expired.',
    IllegalVersioningConfigurationException:
      'The versioning configuration specified in the request is invalid.',
    IncompleteBody:
      'You did not provide the number of bytes specified by the Content-Length HTTP header.',
    InvalidArgument: 'Invalid Argument',
    InvalidBucketAclWithObjectOwnership:
      "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    InvalidBucketName: 'The specified bucket is not valid.',
    InvalidDigest: 'The Content-MD5 you specified was invalid.',
    InvalidEncryptionAlgorithmError:
      'The encryption request you specified is not valid. The valid values are AES256 and aws:kms.',
    InvalidLocationConstraint: 'The specified location-constraint is not valid',
    InvalidPart:
      "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    InvalidPartOrder:
      'The list of parts was not in ascending order. Parts must be ordered by part number.',
    InvalidPolicyDocument:
      'The content of the form does not meet the conditions specified in the policy document.',
    /** In the user guide of websites. */
    InvalidRedirectLocation:
      "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    InvalidRequest: 'Invalid Request',
    /** Not in the reference's list; given for a default retention of no days. */
    InvalidRetentionPeriod: 'The retention period must be a positive integer value.',
    InvalidStorageClass: 'The storage class you specified is not valid',
    InvalidTag: 'The tag provided was not a valid tag.',
    InvalidTargetBucketForLogging:
      'The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants.',
    InvalidToken: 'The provided token is malformed or otherwise invalid.',
    InvalidURI: "Couldn't parse the specified URI.",
    KeyTooLongError: 'Your key is too long',
    /** Given by S3 with SSE-KMS; listed in the reference of KMS. */
    'KMS.DisabledException': 'The request was rejected because the specified key is not enabled.',
    'KMS.NotFoundException':
      'The request was rejected because the specified key could not be found.',
    MalformedACLError:
      'The XML you provided was not well-formed or did not validate against our published schema',
    MalformedPolicy: 'The policy is not in the valid JSON format.',
    MalformedPOSTRequest: 'The body of your POST request is not well-formed multipart/form-data.',
    MalformedTrailerError:
      'The request contained trailing data that was not well-formed or did not conform to our published schema.',
    MalformedXML:
      'The XML you provided was not well-formed or did not validate against our published schema',
    MaxMessageLengthExceeded: 'Your request was too big.',
    MaxPostPreDataLengthExceededError:
      'Your POST request fields preceding the upload file were too large.',
    MetadataTooLarge: 'Your metadata headers exceed the maximum allowed metadata size',
    MissingRequestBodyError: 'Request Body is empty',
    MissingSecurityHeader: 'Your request was missing a required header',
    RequestHeaderSectionTooLarge: 'Your request header section exceeds the maximum allowed size.',
    RequestIsNotMultiPartContent: 'Bucket POST must be of the enclosure-type multipart/form-data.',
    RequestTimeout:
      'Your socket connection to the server was not read from or written to within the timeout period.',
    TooManyBuckets: 'You have attempted to create more buckets than allowed',
    UnexpectedContent: 'This request does not support content',
    UnresolvableGrantByEmailAddress:
      'The email address you provided does not match any account on record.',
    UnsupportedArgument: 'The request contained an unsupported argument.',
    UserKeyMustBeSpecified:
      'The bucket POST must contain the specified field name. If it is specified, check the order of the fields.',
    XAmzContentChecksumMismatch:
      'The provided x-amz-checksum header does not match what was computed.',
    XAmzContentSHA256Mismatch:
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
  },
  403: {
    AccessDenied: 'Access Denied',
    /** Of preflights. */
    AccessForbidden: 'CORSResponse: This CORS request is not allowed.',
    InvalidAccessKeyId: 'The AWS Access Key Id you provided does not exist in our records.',
    InvalidObjectState: "The operation is not valid for the object's storage class",
    InvalidSecurity: 'The provided security credentials are not valid.',
    /** Of no S3, but of Ceph's gateway, which has quotas too. */
    QuotaExceeded: 'The quota has no room for the object.',
    /** Of aws-chunked bodies. */
    InvalidChunkSizeError: 'Only the last chunk is allowed to have a size less than 8192 bytes',
    RequestTimeTooSkewed:
      'The difference between the request time and the current time is too large.',
    SignatureDoesNotMatch:
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
  },
  404: {
    NoSuchBucket: 'The specified bucket does not exist',
    NoSuchBucketPolicy: 'The bucket policy does not exist',
    /** Not in the reference's list; given for analytics, inventory, metrics and tiering. */
    NoSuchConfiguration: 'The specified configuration does not exist.',
    NoSuchCORSConfiguration: 'The CORS configuration does not exist',
    NoSuchKey: 'The specified key does not exist.',
    NoSuchLifecycleConfiguration: 'The lifecycle configuration does not exist',
    NoSuchObjectLockConfiguration: 'The specified object does not have a ObjectLock configuration',
    NoSuchPublicAccessBlockConfiguration: 'The public access block configuration was not found',
    NoSuchTagSet: 'The TagSet does not exist',
    NoSuchUpload:
      'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
    NoSuchVersion: 'The specified version does not exist.',
    ReplicationConfigurationNotFoundError: 'The replication configuration was not found',
    NoSuchWebsiteConfiguration: 'The specified bucket does not have a website configuration',
    ObjectLockConfigurationNotFoundError:
      'Object Lock configuration does not exist for this bucket',
    OwnershipControlsNotFoundError: 'The bucket ownership controls were not found',
    ServerSideEncryptionConfigurationNotFoundError:
      'The server side encryption configuration was not found',
  },
  405: {
    MethodNotAllowed: 'The specified method is not allowed against this resource.',
  },
  409: {
    BucketAlreadyExists:
      'The requested bucket name is not available. Please select a different name and try again.',
    BucketAlreadyOwnedByYou:
      'Your previous request to create the named bucket succeeded and you already own it.',
    BucketNotEmpty: 'The bucket you tried to delete is not empty.',
    ConditionalRequestConflict:
      'A conflicting conditional operation is currently in progress against this resource. Please try again.',
    InvalidBucketState: 'The request is not valid with the current state of the bucket.',
    OperationAborted:
      'A conflicting conditional operation is currently in progress against this resource. Please try again.',
  },
  411: {
    MissingContentLength: 'You must provide the Content-Length HTTP header.',
  },
  412: {
    PreconditionFailed: 'At least one of the pre-conditions you specified did not hold',
  },
  416: {
    InvalidPartNumber: 'The requested partnumber is not satisfiable',
    InvalidRange: 'The requested range is not satisfiable',
  },
  500: {
    InternalError: 'We encountered an internal error. Please try again.',
  },
  501: {
    NotImplemented: 'A header you provided implies functionality that is not implemented',
  },
  503: {
    ServiceUnavailable: 'Service is unable to handle request.',
    SlowDown: 'Please reduce your request rate.',
  },
} as const;

type ByStatus = typeof BY_STATUS;
export type S3ErrorCode = { [S in keyof ByStatus]: keyof ByStatus[S] }[keyof ByStatus];

export interface S3ErrorRow {
  readonly status: number;
  readonly message: string;
}

export const S3_ERRORS = Object.fromEntries(
  Object.entries(BY_STATUS).flatMap(([status, messages]) =>
    Object.entries(messages).map(([code, message]) => [code, { status: Number(status), message }]),
  ),
) as Readonly<Record<S3ErrorCode, S3ErrorRow>>;

export function isS3ErrorCode(text: string): text is S3ErrorCode {
  return Object.hasOwn(S3_ERRORS, text);
}
