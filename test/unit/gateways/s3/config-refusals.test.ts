import { describe, expect, it } from 'vitest';
import { accessControlPolicy } from '../../../../gateways/s3/acl.ts';
import {
  createBucketConfiguration,
  ownershipControls,
  publicAccessBlock,
  requestPaymentConfiguration,
  versioningConfiguration,
} from '../../../../gateways/s3/bucket-documents.ts';
import { corsConfiguration } from '../../../../gateways/s3/cors.ts';
import { serverSideEncryptionConfiguration } from '../../../../gateways/s3/encryption.ts';
import { lifecycleConfiguration } from '../../../../gateways/s3/lifecycle.ts';
import { notificationConfiguration } from '../../../../gateways/s3/notification.ts';
import {
  legalHold,
  objectLockConfiguration,
  retention,
} from '../../../../gateways/s3/object-lock.ts';
import { bucketTagging, objectTagging } from '../../../../gateways/s3/tagging.ts';
import { websiteConfiguration } from '../../../../gateways/s3/website.ts';
import type { Document } from '../../../../gateways/s3/xml-shape.ts';
import { codeOf } from '../../../kit/s3-error-code.ts';

const refusal = (document: Document<never>, xml: string) =>
  codeOf(() => document.read(Buffer.from(xml)));

const rules = (inner: string) =>
  `<LifecycleConfiguration><Rule>${inner}</Rule></LifecycleConfiguration>`;
const expiry = '<Status>Enabled</Status><Expiration><Days>1</Days></Expiration>';
const cors = (inner: string) =>
  `<CORSConfiguration><CORSRule>${inner}</CORSRule></CORSConfiguration>`;
const tags = (count: number) =>
  Array.from({ length: count }, (_, at) => `<Tag><Key>k${at}</Key><Value/></Tag>`).join('');
const tagging = (inner: string) => `<Tagging><TagSet>${inner}</TagSet></Tagging>`;
const grant = (inner: string) =>
  `<AccessControlPolicy><AccessControlList><Grant>${inner}</Grant></AccessControlList></AccessControlPolicy>`;
const sse = (inner: string) =>
  `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>${inner}</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`;
const lock = (inner: string) =>
  `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>${inner}</DefaultRetention></Rule></ObjectLockConfiguration>`;
const topic = (inner: string) =>
  `<NotificationConfiguration><TopicConfiguration><Topic>t</Topic>${inner}</TopicConfiguration></NotificationConfiguration>`;
const filterRule = (name: string) =>
  `<FilterRule><Name>${name}</Name><Value>v</Value></FilterRule>`;
const site = (inner: string) => `<WebsiteConfiguration>${inner}</WebsiteConfiguration>`;

describe('configurations that are refused', () => {
  const cases: [string, Document<never>, string, string][] = [];
  const add = (code: string, document: unknown, ...xmls: string[]) => {
    for (const xml of xmls) cases.push([code, document as Document<never>, xml, xml.slice(0, 110)]);
  };
  add(
    'MalformedXML',
    versioningConfiguration,
    '<Versioning/>',
    '<VersioningConfiguration><Status>On</Status></VersioningConfiguration>',
    '<VersioningConfiguration><Status>Enabled</Status><Status>Enabled</Status></VersioningConfiguration>',
    '<VersioningConfiguration><Other/></VersioningConfiguration>',
    '<VersioningConfiguration>text</VersioningConfiguration>',
    '<VersioningConfiguration><Status><b/>Enabled</Status></VersioningConfiguration>',
  );
  add(
    'IllegalVersioningConfigurationException',
    versioningConfiguration,
    '<VersioningConfiguration/>',
  );
  add(
    'NotImplemented',
    versioningConfiguration,
    '<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>',
  );
  add('none', objectTagging, tagging(tags(10)), tagging(''));
  add('none', bucketTagging, tagging(tags(50)));
  add('InvalidTag', bucketTagging, tagging(tags(51)));
  add(
    'InvalidTag',
    objectTagging,
    tagging(tags(11)),
    tagging(`${tags(1)}${tags(1)}`),
    tagging('<Tag><Key/><Value/></Tag>'),
    tagging(`<Tag><Key>${'k'.repeat(129)}</Key><Value/></Tag>`),
    tagging(`<Tag><Key>k</Key><Value>${'v'.repeat(257)}</Value></Tag>`),
    tagging('<Tag><Key>a?b</Key><Value/></Tag>'),
    tagging('<Tag><Key>a</Key><Value>b#</Value></Tag>'),
    tagging('<Tag><Key>aws:x</Key><Value/></Tag>'),
  );
  add('MalformedXML', objectTagging, '<Tagging/>', tagging('<Tag><Key>k</Key></Tag>'));
  add(
    'MalformedXML',
    lifecycleConfiguration,
    '<LifecycleConfiguration/>',
    rules(expiry),
    rules(`${expiry}<Prefix/><Filter/>`),
    rules('<Filter/><Status>On</Status><Expiration><Days>1</Days></Expiration>'),
    rules('<Filter/><Status>Enabled</Status><Expiration/>'),
    rules(
      '<Filter/><Status>Enabled</Status><Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>',
    ),
    rules(`${expiry}<Filter><Prefix/><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>`),
    rules(`${expiry}<Filter><And/></Filter>`),
    rules('<Filter/><Status>Enabled</Status><Expiration><Days>x</Days></Expiration>'),
    rules('<Filter/><Status>Enabled</Status><Expiration><Days>2147483648</Days></Expiration>'),
    rules('<Filter/><Status>Enabled</Status><Expiration><Date>2026-02-30</Date></Expiration>'),
  );
  add(
    'InvalidArgument',
    lifecycleConfiguration,
    rules('<Filter/><Status>Enabled</Status><Expiration><Days>0</Days></Expiration>'),
    rules('<Filter/><Status>Enabled</Status><Expiration><Days>-1</Days></Expiration>'),
    rules(
      '<Filter/><Status>Enabled</Status><Expiration><Date>2026-02-03T00:00:01Z</Date></Expiration>',
    ),
    rules(`${expiry}<Filter/><ID>${'i'.repeat(256)}</ID>`),
    rules(`${expiry}<Filter/><ID>i</ID>`).replace(/<Rule>.*<\/Rule>/, '$&$&'),
    rules(
      '<Filter/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>',
    ),
    rules(
      '<Filter/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>',
    ),
    rules(
      `${expiry}<Filter><And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>`,
    ),
  );
  add(
    'InvalidRequest',
    lifecycleConfiguration,
    rules('<Filter/><Status>Enabled</Status>'),
    rules(
      '<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>',
    ),
    rules(
      `<Filter>${tags(1)}</Filter><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>`,
    ),
  );
  add(
    'NotImplemented',
    lifecycleConfiguration,
    rules(
      '<Filter/><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>',
    ),
  );
  add(
    'MalformedXML',
    corsConfiguration,
    '<CORSConfiguration/>',
    cors('<AllowedMethod>GET</AllowedMethod>'),
  );
  add(
    'InvalidRequest',
    corsConfiguration,
    cors('<AllowedMethod>PATCH</AllowedMethod><AllowedOrigin>*</AllowedOrigin>'),
    cors('<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*.*</AllowedOrigin>'),
    cors(
      '<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin><ExposeHeader>x-*</ExposeHeader>',
    ),
  );
  add(
    'MalformedACLError',
    accessControlPolicy,
    '<AccessControlPolicy/>',
    '<AccessControlPolicy',
    grant('<Grantee/><Permission>READ</Permission>'),
    grant('<Grantee><ID>x</ID></Grantee><Permission>ALL</Permission>'),
    grant('<Grantee type="Group"><ID>x</ID></Grantee><Permission>READ</Permission>'),
  );
  add(
    'InvalidArgument',
    accessControlPolicy,
    grant('<Grantee><URI>http://x</URI></Grantee><Permission>READ</Permission>'),
  );
  add(
    'none',
    accessControlPolicy,
    grant('<Grantee><ID>x</ID></Grantee><Permission>READ</Permission>'),
    // Whose address it is says whoever has the users.
    grant('<Grantee><EmailAddress>a@b</EmailAddress></Grantee><Permission>READ</Permission>'),
  );
  add('MalformedXML', ownershipControls, '<OwnershipControls/>');
  add(
    'MalformedXML',
    publicAccessBlock,
    '<PublicAccessBlockConfiguration><BlockPublicAcls>yes</BlockPublicAcls></PublicAccessBlockConfiguration>',
  );
  add(
    'MalformedXML',
    requestPaymentConfiguration,
    '<RequestPaymentConfiguration><Payer>Me</Payer></RequestPaymentConfiguration>',
  );
  add(
    'MalformedXML',
    objectLockConfiguration,
    '<ObjectLockConfiguration/>',
    lock('<Mode>GOVERNANCE</Mode>'),
    lock('<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>'),
    lock('<Mode>governance</Mode><Days>1</Days>'),
    lock('<Mode>abc</Mode><Days>1</Days>'),
  );
  add(
    'InvalidRetentionPeriod',
    objectLockConfiguration,
    lock('<Mode>GOVERNANCE</Mode><Days>0</Days>'),
    lock('<Mode>GOVERNANCE</Mode><Years>-1</Years>'),
    lock('<Mode>GOVERNANCE</Mode><Years>101</Years>'),
  );
  add('MalformedXML', retention, '<Retention><Mode>COMPLIANCE</Mode></Retention>');
  add('MalformedXML', legalHold, '<LegalHold/>', '<LegalHold><Status>on</Status></LegalHold>');
  add('MalformedXML', serverSideEncryptionConfiguration, sse('<SSEAlgorithm>rot13</SSEAlgorithm>'));
  add(
    'InvalidArgument',
    serverSideEncryptionConfiguration,
    sse('<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>'),
  );
  add('none', notificationConfiguration, '<NotificationConfiguration/>');
  add('MalformedXML', notificationConfiguration, topic(''));
  add(
    'InvalidArgument',
    notificationConfiguration,
    topic('<Event>s3:Nothing</Event>'),
    topic(
      `<Event>s3:ObjectCreated:*</Event><Filter><S3Key>${filterRule('infix')}</S3Key></Filter>`,
    ),
    topic(
      `<Event>s3:ObjectCreated:*</Event><Filter><S3Key>${filterRule('prefix')}${filterRule('Prefix')}</S3Key></Filter>`,
    ),
    topic('<Event>s3:ObjectCreated:*</Event><Id>i</Id>').replace(
      /<TopicC.*Configuration>(?=<\/N)/,
      '$&$&',
    ),
  );
  add(
    'InvalidArgument',
    websiteConfiguration,
    site(''),
    site('<IndexDocument><Suffix>a/b</Suffix></IndexDocument>'),
    site('<IndexDocument><Suffix/></IndexDocument>'),
    site(
      '<IndexDocument><Suffix>i</Suffix></IndexDocument><RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>',
    ),
  );
  add(
    'MalformedXML',
    websiteConfiguration,
    site(
      '<IndexDocument><Suffix>i</Suffix></IndexDocument><RoutingRules><RoutingRule><Redirect/></RoutingRule></RoutingRules>',
    ),
  );
  add(
    'MalformedXML',
    createBucketConfiguration,
    '<CreateBucketConfiguration><X/></CreateBucketConfiguration>',
  );
  add(
    'NotImplemented',
    createBucketConfiguration,
    '<CreateBucketConfiguration><Location><Name>x</Name></Location></CreateBucketConfiguration>',
  );

  for (const [code, document, xml, shown] of cases) {
    it(`${code}: ${shown}`, () => expect(refusal(document, xml)).toBe(code));
  }
});
