import type { IncomingHttpHeaders } from 'node:http';
import type { Answer, HeaderPair } from './answer.ts';
import type { Call } from './call.ts';
import { type CorsRule, corsConfiguration } from './cors.ts';
import { s3Error } from './errors.ts';
import { type Headers, headerOf } from './headers.ts';

async function rulesOf(call: Call): Promise<readonly CorsRule[] | null> {
  if (call.route.bucket === '') return null;
  const stored = (await call.findBucket())?.documents['cors'];
  return stored === undefined ? null : corsConfiguration.read(Buffer.from(stored)).rules;
}

/** One `*` at most, which stands for any text. */
function matches(pattern: string, text: string): boolean {
  const star = pattern.indexOf('*');
  if (star < 0) return pattern === text;
  const [before, after] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return (
    text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after)
  );
}

interface Wanted {
  readonly origin: string;
  readonly method: string;
  /** Lower case. */
  readonly headers: readonly string[];
}

/** The first rule that allows all of it counts, as in S3. */
function ruleFor(rules: readonly CorsRule[], { origin, method, headers }: Wanted): CorsRule | null {
  const allows = (rule: CorsRule) =>
    rule.allowedMethods.includes(method) &&
    rule.allowedOrigins.some((pattern) => matches(pattern, origin)) &&
    headers.every((name) => rule.allowedHeaders.some((p) => matches(p.toLowerCase(), name)));
  return rules.find(allows) ?? null;
}

function answerHeaders(rule: CorsRule, { origin }: Wanted): HeaderPair[] {
  const isAny = rule.allowedOrigins.includes('*');
  const headers: HeaderPair[] = [['access-control-allow-origin', isAny ? '*' : origin]];
  headers.push(['access-control-allow-methods', rule.allowedMethods.join(', ')]);
  if (!isAny) headers.push(['access-control-allow-credentials', 'true']);
  if (rule.exposeHeaders.length > 0) {
    headers.push(['access-control-expose-headers', rule.exposeHeaders.join(', ')]);
  }
  if (rule.maxAgeSeconds !== null) {
    headers.push(['access-control-max-age', String(rule.maxAgeSeconds)]);
  }
  headers.push(['vary', 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method']);
  return headers;
}

/** Of the answer to a page of another site; none where its bucket does not allow it. Never rejects. */
export async function corsHeaders(call: Call, method: string): Promise<HeaderPair[]> {
  const origin = call.header('origin');
  if (origin === null || method === 'OPTIONS') return [];
  try {
    const rules = await rulesOf(call);
    const wanted = { origin, method, headers: [] };
    const rule = rules === null ? null : ruleFor(rules, wanted);
    return rule === null ? [] : answerHeaders(rule, wanted);
  } catch {
    // The answer itself says what is wrong with the store.
    return [];
  }
}

/** A browser's question before a request: nobody signs it. Throws BadRequest, AccessForbidden. */
export async function preflight(call: Call, headers: IncomingHttpHeaders): Promise<Answer> {
  const given: Headers = headers;
  const origin = headerOf(given, 'origin');
  const method = headerOf(given, 'access-control-request-method');
  if (origin === null) {
    throw s3Error('BadRequest', 'Insufficient information. Origin request header needed.');
  }
  if (method === null) {
    throw s3Error('BadRequest', 'Invalid Access-Control-Request-Method: null');
  }
  const asked = (headerOf(given, 'access-control-request-headers') ?? '').toLowerCase();
  const names = asked.split(',').map((name) => name.trim());
  const wanted = { origin, method, headers: names.filter((name) => name !== '') };
  await call.bucket();
  const rules = await rulesOf(call);
  if (rules === null) {
    throw s3Error('AccessForbidden', 'CORSResponse: CORS is not enabled for this bucket.', {
      ...{ Method: method.slice(0, 32), ResourceType: 'BUCKET' },
    });
  }
  const rule = ruleFor(rules, wanted);
  if (rule === null) {
    throw s3Error(
      'AccessForbidden',
      "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
      { Method: method.slice(0, 32), ResourceType: 'OBJECT' },
    );
  }
  const allowed: HeaderPair[] =
    asked === '' ? [] : [['access-control-allow-headers', wanted.headers.join(', ')]];
  return { status: 200, headers: [...answerHeaders(rule, wanted), ...allowed], body: '' };
}
