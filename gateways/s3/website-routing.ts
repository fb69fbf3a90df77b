import type { RoutingRule, WebProtocol, WebsiteConfiguration } from './website.ts';
import { urlEncoded } from './xml-writer.ts';

/** What a browser asked a website for. */
export interface Visit {
  readonly protocol: WebProtocol;
  /** The `Host` header. */
  readonly host: string;
  /** Decoded; empty: the root. */
  readonly key: string;
  /** As it came, query and all, from its first slash. */
  readonly target: string;
}

export interface Redirect {
  readonly status: number;
  readonly location: string;
}

/** Of a website that is somewhere else as a whole; null: it is here. */
export function redirectOfAll(
  { redirectAllRequestsTo }: WebsiteConfiguration,
  visit: Visit,
): Redirect | null {
  if (redirectAllRequestsTo === null) return null;
  const { hostName, protocol } = redirectAllRequestsTo;
  return { status: 301, location: `${protocol ?? visit.protocol}://${hostName}${visit.target}` };
}

/**
 * By the first rule that fits: before the object is looked for (`errorStatus` null) those that have no condition on an
 * error, and behind an error those that name its status.
 */
export function redirectByRule(
  { routingRules }: WebsiteConfiguration,
  visit: Visit,
  errorStatus: number | null,
): Redirect | null {
  const code = errorStatus === null ? null : String(errorStatus);
  const rule = routingRules.find(({ condition }) => {
    const wanted = condition?.httpErrorCodeReturnedEquals ?? null;
    return wanted === code && visit.key.startsWith(condition?.keyPrefixEquals ?? '');
  });
  return rule === undefined ? null : redirected(rule, visit);
}

function redirected({ condition, redirect }: RoutingRule, visit: Visit): Redirect {
  const prefix = condition?.keyPrefixEquals ?? '';
  const { replaceKeyWith, replaceKeyPrefixWith, httpRedirectCode } = redirect;
  const rest = replaceKeyPrefixWith === null ? visit.key : visit.key.slice(prefix.length);
  // Authors write fragments and queries into what takes the key's place.
  const path =
    replaceKeyWith === null
      ? encodeURI(replaceKeyPrefixWith ?? '') + urlEncoded(rest)
      : encodeURI(replaceKeyWith);
  const protocol = redirect.protocol ?? visit.protocol;
  const host = redirect.hostName ?? visit.host;
  return { status: Number(httpRedirectCode ?? 301), location: `${protocol}://${host}/${path}` };
}

/** To the same path with a slash behind it. */
export function redirectToFolder({ protocol, host, key }: Visit): Redirect {
  return { status: 302, location: `${protocol}://${host}/${urlEncoded(key)}/` };
}

/** The key of the page behind a path: a folder is its index document. */
export function pageKey(key: string, suffix: string): string {
  return key === '' || key.endsWith('/') ? key + suffix : key;
}
