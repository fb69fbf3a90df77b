import { type HttpAnswer, HttpResponseReader } from '../http-response.ts';
import { Template } from '../template.ts';
import type { Dialect, Done } from './dialect.ts';
import type { Expected, RequestStream } from './requests.ts';

/** What is wrong with an answer that has status 2xx; null when it is right. */
export type CheckAnswer = (answer: HttpAnswer, expected: Expected, count: number) => string | null;

/** A dialect over HTTP: every status but 2xx is an error, and the rest is checked by `check`. */
export function httpDialect(requests: RequestStream, check: CheckAnswer, done: Done): Dialect {
  const reader = new HttpResponseReader((answer) => {
    const { expected, count } = requests;
    const isFine = answer.status >= 200 && answer.status < 300;
    const flaw = isFine ? check(answer, expected, count) : statusFlaw(answer);
    done(count, flaw);
  });
  return {
    greeting: null,
    next: () => requests.next(),
    feed: (chunk) => reader.feed(chunk),
  };
}

function statusFlaw({ status, bytes, start, end }: HttpAnswer): string {
  return `status ${status}: ${bytes.toString('latin1', start, Math.min(end, start + 200))}`;
}

/** A request whose body is put together by `fill`; its length is known from a first pass. */
export function withBody(
  valueBytes: number,
  base64: boolean,
  head: string,
  fill: (template: Template) => Template,
): Template {
  const length = fill(new Template(valueBytes, base64)).bytes.length;
  const template = new Template(valueBytes, base64);
  return fill(template.text(`${head}content-length: ${length}\r\n\r\n`));
}
