import { expect } from 'vitest';
import type { Answer, call } from './raw-http.ts';

export type Send = (
  method: string,
  path: string,
  options?: Parameters<typeof call>[3],
) => Promise<Answer>;

const PROBLEM = 'application/problem+json; charset=utf-8';

/** A problem document with all its members, and nothing of the inside. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expect([answer.status, answer.json?.code]).toEqual([status, code]);
  expect(answer.headers['content-type']).toBe(PROBLEM);
  expect(answer.json).toMatchObject({ status, code, requestId: answer.headers['x-request-id'] });
  expect(typeof answer.json.definite).toBe('boolean');
  expect(answer.json).toHaveProperty('retryAfterMs');
  expect(answer.text).not.toMatch(/node_modules|\.ts:|at .*\(/);
}
