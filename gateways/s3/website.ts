import { s3Error } from './errors.ts';
import { malformedXml } from './xml-reader.ts';
import { choice, text } from './xml-scalars.ts';
import { document, many, maybe, one, type Shape, struct, wrapped } from './xml-shape.ts';

export type WebProtocol = 'http' | 'https';

export interface RedirectAllRequests {
  readonly hostName: string;
  readonly protocol: WebProtocol | null;
}

export interface RoutingCondition {
  readonly httpErrorCodeReturnedEquals: string | null;
  readonly keyPrefixEquals: string | null;
}

export interface RoutingRedirect {
  readonly hostName: string | null;
  readonly httpRedirectCode: string | null;
  readonly protocol: WebProtocol | null;
  readonly replaceKeyPrefixWith: string | null;
  readonly replaceKeyWith: string | null;
}

export interface RoutingRule {
  readonly condition: RoutingCondition | null;
  readonly redirect: RoutingRedirect;
}

export interface WebsiteConfiguration {
  readonly errorDocument: { readonly key: string } | null;
  readonly indexDocument: { readonly suffix: string } | null;
  readonly redirectAllRequestsTo: RedirectAllRequests | null;
  readonly routingRules: readonly RoutingRule[];
}

const protocol = maybe('Protocol', choice<WebProtocol>(['http', 'https']));

const routingRule: Shape<RoutingRule> = struct({
  condition: maybe(
    'Condition',
    struct<RoutingCondition>({
      httpErrorCodeReturnedEquals: maybe('HttpErrorCodeReturnedEquals', text(3, 3)),
      keyPrefixEquals: maybe('KeyPrefixEquals', text(0, 1024)),
    }),
  ),
  redirect: one(
    'Redirect',
    struct<RoutingRedirect>({
      hostName: maybe('HostName', text(1, 255)),
      httpRedirectCode: maybe('HttpRedirectCode', text(3, 3)),
      protocol,
      replaceKeyPrefixWith: maybe('ReplaceKeyPrefixWith', text(0, 1024)),
      replaceKeyWith: maybe('ReplaceKeyWith', text(0, 1024)),
    }),
  ),
});

const shape: Shape<WebsiteConfiguration> = struct({
  errorDocument: maybe(
    'ErrorDocument',
    struct<{ key: string }>({ key: one('Key', text(1, 1024)) }),
  ),
  indexDocument: maybe(
    'IndexDocument',
    struct<{ suffix: string }>({ suffix: one('Suffix', text(0, 1024)) }),
  ),
  redirectAllRequestsTo: maybe(
    'RedirectAllRequestsTo',
    struct<RedirectAllRequests>({ hostName: one('HostName', text(1, 255)), protocol }),
  ),
  routingRules: wrapped('RoutingRules', many('RoutingRule', routingRule, 1, 50)),
});

export const websiteConfiguration = document('WebsiteConfiguration', shape, { check: checkSite });

function checkSite(site: WebsiteConfiguration): void {
  const { indexDocument, errorDocument, redirectAllRequestsTo, routingRules } = site;
  if (redirectAllRequestsTo !== null) {
    checkHostName(redirectAllRequestsTo.hostName);
    if (indexDocument === null && errorDocument === null && routingRules.length === 0) return;
    throw refused('RedirectAllRequestsTo cannot be provided in conjunction with other elements.');
  }
  if (indexDocument === null) {
    throw refused('A value for IndexDocument Suffix must be provided');
  }
  if (indexDocument.suffix === '' || indexDocument.suffix.includes('/')) {
    throw refused('The IndexDocument Suffix is not well formed');
  }
  for (const each of routingRules) checkRule(each);
}

/** It becomes a header, and the host of a URL. */
function checkHostName(hostName: string): void {
  if (/^[A-Za-z0-9._-]+(?::\d{1,5})?$/.test(hostName)) return;
  throw s3Error('InvalidRequest', 'The HostName is not the name of a host');
}

function checkRule({ condition, redirect }: RoutingRule): void {
  if (redirect.hostName !== null) checkHostName(redirect.hostName);
  const { httpRedirectCode, replaceKeyPrefixWith, replaceKeyWith } = redirect;
  if (httpRedirectCode !== null && !/^3\d\d$/.test(httpRedirectCode)) {
    throw s3Error('InvalidRequest', 'The provided HTTP redirect code is not valid');
  }
  const code = condition?.httpErrorCodeReturnedEquals ?? null;
  if (code !== null && !/^[45]\d\d$/.test(code)) {
    throw s3Error('InvalidRequest', 'The provided HTTP error code is not valid');
  }
  if (replaceKeyPrefixWith !== null && replaceKeyWith !== null) {
    throw s3Error(
      'InvalidRequest',
      'You can only define ReplaceKeyPrefix or ReplaceKey but not both.',
    );
  }
  if (Object.values(redirect).every((value) => value === null)) {
    throw malformedXml('a Redirect says nothing');
  }
}

function refused(message: string) {
  return s3Error('InvalidArgument', message);
}
