import fc from 'fast-check';
import { S3Error } from '../../gateways/s3/errors.ts';
import type { RawRequest } from '../../gateways/s3/signed-request.ts';
import { EXAMPLE, encode, type Unsigned, verifierAt } from './s3-signer.ts';

/** Signed requests that were tampered with, and what comes back for them. */
export const MINUTE_MS = 60_000;
export const PUT: Unsigned = {
  method: 'PUT',
  path: '/a/b%20c',
  headers: { 'x-amz-acl': 'private', 'content-type': 'text/plain' },
};

export async function refusal(
  request: RawRequest,
  wallMs: number = EXAMPLE.timeMs,
): Promise<S3Error> {
  try {
    await verifierAt(wallMs).authenticate(request);
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
  throw new Error(`${request.method} ${request.target} was authenticated`);
}

export const code = async (request: RawRequest, wallMs?: number): Promise<string> =>
  (await refusal(request, wallMs)).code;

/** The same request with other headers; null takes one away. */
export function withHeaders(request: RawRequest, other: Record<string, string | null>): RawRequest {
  const headers = new Map<string, string>();
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    headers.set(request.rawHeaders[i] as string, request.rawHeaders[i + 1] as string);
  }
  for (const [name, value] of Object.entries(other)) {
    if (value === null) headers.delete(name);
    else headers.set(name, value);
  }
  return { ...request, rawHeaders: [...headers].flat() };
}

export function headerOf(request: RawRequest, name: string): string {
  return request.rawHeaders[request.rawHeaders.indexOf(name) + 1] as string;
}

export const replaced = (request: RawRequest, from: string | RegExp, to: string): RawRequest =>
  withHeaders(request, {
    authorization: headerOf(request, 'authorization').replace(from, to),
  });

/** %2f is %2F: the same request. */
export function isOtherCaseOfEscape(target: string, at: number, char: string): boolean {
  const isDigit = /%[0-9A-Fa-f]?$/.test(target.slice(0, at));
  return isDigit && target[at]?.toLowerCase() === char.toLowerCase();
}

const text = fc.string({ unit: 'binary', maxLength: 12 });
export const requests = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'DELETE', 'HEAD', 'POST'),
  path: fc.array(text, { maxLength: 4 }).map((parts) => `/${parts.map(encode).join('/')}`),
  query: fc.dictionary(
    text.filter((t) => t !== '' && t !== '__proto__'),
    fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })),
    { maxKeys: 4, noNullPrototype: true },
  ),
  headers: fc.dictionary(
    fc.stringMatching(/^x-amz-meta-[a-z0-9]{1,8}$/),
    fc.stringMatching(/^[ -~]{0,20}$/),
    { maxKeys: 4, noNullPrototype: true },
  ),
});
