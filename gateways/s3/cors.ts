import { s3Error } from './errors.ts';
import { integer, text } from './xml-scalars.ts';
import { document, many, maybe, type Shape, struct } from './xml-shape.ts';

export interface CorsRule {
  readonly allowedHeaders: readonly string[];
  readonly allowedMethods: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly id: string | null;
  readonly maxAgeSeconds: number | null;
}

export interface CorsConfiguration {
  readonly rules: readonly CorsRule[];
}

const RULES_MAX = 100;
const ID_LENGTH_MAX = 255;
const METHODS: ReadonlySet<string> = new Set(['GET', 'PUT', 'HEAD', 'POST', 'DELETE']);

const words = (name: string, min: number) => many(name, text(1, 2048), min, 100);

const rule: Shape<CorsRule> = struct({
  allowedHeaders: words('AllowedHeader', 0),
  allowedMethods: words('AllowedMethod', 1),
  allowedOrigins: words('AllowedOrigin', 1),
  exposeHeaders: words('ExposeHeader', 0),
  id: maybe('ID', text(0, ID_LENGTH_MAX)),
  maxAgeSeconds: maybe('MaxAgeSeconds', integer),
});

/** The size of the body is bounded by S3 too: 64 KiB. */
export const corsConfiguration = document<CorsConfiguration>(
  'CORSConfiguration',
  struct({ rules: many('CORSRule', rule, 1, RULES_MAX) }),
  { check: ({ rules }) => rules.forEach(checkRule), bytesMax: 64 * 1024 },
);

function checkRule(each: CorsRule): void {
  for (const method of each.allowedMethods) {
    if (METHODS.has(method)) continue;
    const what = 'Found unsupported HTTP method in CORS config. Unsupported method is';
    throw s3Error('InvalidRequest', `${what} ${method}`);
  }
  for (const origin of each.allowedOrigins) checkWildcards('AllowedOrigin', origin);
  for (const header of each.allowedHeaders) checkWildcards('AllowedHeader', header);
  for (const header of each.exposeHeaders) {
    if (!header.includes('*')) continue;
    throw s3Error('InvalidRequest', `ExposeHeader "${header}" contains wildcard`);
  }
  if ((each.maxAgeSeconds ?? 0) < 0) {
    throw s3Error('InvalidRequest', 'MaxAgeSeconds cannot be negative');
  }
}

function checkWildcards(name: string, value: string): void {
  if (value.indexOf('*') === value.lastIndexOf('*')) return;
  throw s3Error('InvalidRequest', `${name} "${value}" can not have more than one wildcard.`);
}
