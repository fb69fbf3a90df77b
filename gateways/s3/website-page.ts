import { STATUS_CODES } from 'node:http';
import type { EdgeRequest } from '../http/exchange.ts';
import type { Answer } from './answer.ts';
import type { Call } from './call.ts';
import { corsHeaders, preflight } from './cors-answers.ts';
import { hasErrorBody, type S3Error, s3Error, s3ErrorOf } from './errors.ts';
import { getObject, headObject } from './get-object.ts';
import { type WebsiteConfiguration, websiteConfiguration } from './website.ts';
import {
  pageKey,
  type Redirect,
  redirectByRule,
  redirectOfAll,
  redirectToFolder,
  type Visit,
} from './website-routing.ts';
import { escapeXml, joined, node } from './xml-writer.ts';

/** One request to a website, which only reads, and is answered in HTML. */
export interface PageRequest {
  /** About the key that was asked for; nobody signs it. */
  readonly call: Call;
  readonly req: EdgeRequest;
  readonly requestId: string;
  /** Told of what the page is refused for. */
  readonly tell: (error: S3Error) => void;
}

const REDIRECT = 'x-amz-website-redirect-location';

/** Never rejects. */
export async function websiteAnswer(page: PageRequest): Promise<Answer> {
  const method = page.req.method ?? '';
  const answer = await answered(page).catch((thrown) => {
    const error = s3ErrorOf(thrown);
    page.tell(error);
    return errorPage(error, page);
  });
  const cors = await corsHeaders(page.call, method);
  return cors.length === 0 ? answer : { ...answer, headers: [...answer.headers, ...cors] };
}

async function answered(page: PageRequest): Promise<Answer> {
  const { call, req } = page;
  if (req.method === 'OPTIONS') return preflight(call, req.headers);
  if (req.method !== 'GET' && req.method !== 'HEAD') throw s3Error('MethodNotAllowed');
  const bucket = await call.bucket();
  const stored = bucket.documents['website'];
  if (stored === undefined) {
    throw s3Error('NoSuchWebsiteConfiguration', undefined, { BucketName: call.route.bucket });
  }
  const site = websiteConfiguration.read(Buffer.from(stored));
  const visit: Visit = {
    ...{ protocol: call.sender.isSecure ? 'https' : 'http', host: req.headers.host ?? '' },
    ...{ key: call.route.key, target: req.url ?? '/' },
  };
  const early = redirectOfAll(site, visit) ?? redirectByRule(site, visit, null);
  if (early !== null) return redirectAnswer(early);
  const suffix = site.indexDocument?.suffix ?? '';
  try {
    return await read(call.about(pageKey(visit.key, suffix)), req.method);
  } catch (error) {
    return instead(page, site, visit, s3ErrorOf(error));
  }
}

/** An object may say that it is elsewhere. */
async function read(call: Call, method: 'GET' | 'HEAD'): Promise<Answer> {
  const answer = await (method === 'HEAD' ? headObject(call) : getObject(call));
  const elsewhere = answer.headers.find(([name]) => name === REDIRECT);
  return elsewhere === undefined ? answer : redirectAnswer({ status: 301, location: elsewhere[1] });
}

/** The page is there, and the client's own conditions or ranges are not met. */
const OF_CONDITIONS: ReadonlySet<number> = new Set([412, 416]);

/** The folder of that name, a rule for the error, the error document; else the error itself. */
async function instead(
  { call, tell }: PageRequest,
  site: WebsiteConfiguration,
  visit: Visit,
  error: S3Error,
): Promise<Answer> {
  if (error.status < 400 || error.status >= 500 || OF_CONDITIONS.has(error.status)) throw error;
  const isMissing = error.status === 404 || error.status === 403;
  const suffix = site.indexDocument?.suffix ?? '';
  if (isMissing && visit.key !== '' && !visit.key.endsWith('/')) {
    if (await isThere(call.about(`${visit.key}/${suffix}`, {}))) {
      return redirectAnswer(redirectToFolder(visit));
    }
  }
  const byRule = redirectByRule(site, visit, error.status);
  if (byRule !== null) return redirectAnswer(byRule);
  if (site.errorDocument === null) throw error;
  const document = call.about(site.errorDocument.key, {});
  const shown = await read(document, 'GET').catch(() => null);
  if (shown === null) throw error;
  tell(error);
  return shown.status === 200 ? { ...shown, status: error.status } : shown;
}

async function isThere(call: Call): Promise<boolean> {
  try {
    await headObject(call);
    return true;
  } catch (error) {
    if (s3ErrorOf(error).status >= 500) throw error;
    return false;
  }
}

function redirectAnswer({ status, location }: Redirect): Answer {
  return { status, headers: [['location', location]], body: '' };
}

function errorPage(error: S3Error, { req, requestId }: PageRequest): Answer {
  const { status, code, message, headers } = error;
  if (!hasErrorBody(req.method ?? '', status)) return { status, headers, body: null };
  const title = escapeXml(`${status} ${STATUS_CODES[status] ?? ''}`);
  const said = { Code: code, Message: message, ...error.extra, RequestId: requestId };
  const rows = Object.entries(said).map(([name, text]) =>
    node('li', [escapeXml(`${name}: ${text}`)]),
  );
  const head = node('head', [node('title', [title])]);
  const body = node('body', [node('h1', [title]), node('ul', rows), node('hr', [])]);
  return {
    status,
    headers: [['content-type', 'text/html; charset=utf-8'], ...headers],
    body: `<!DOCTYPE html>\n${node('html', [joined([head, body])])}`,
  };
}
