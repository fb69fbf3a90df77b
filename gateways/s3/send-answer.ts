import type { EdgeResponse } from '../http/exchange.ts';
import { commonHeaders } from '../http/raw-answer.ts';
import { standingHeaders } from '../limits/headers.ts';
import type { Meters } from '../limits/rate-limits.ts';
import type { Answer, HeaderPair } from './answer.ts';
import type { S3Edge } from './edge.ts';

interface Sending {
  readonly requestId: string;
  /** The connection ends with this answer. */
  readonly isLast: boolean;
  readonly isHead: boolean;
  /** What counts it; null: it is not limited. */
  readonly meters: Meters | null;
}

/** Writes an answer at the pace of its reader. Throws when the connection is gone or the body fails. */
export async function sendAnswer(
  edge: S3Edge,
  res: EdgeResponse,
  answer: Answer,
  { requestId, isLast, isHead, meters }: Sending,
): Promise<void> {
  const { status, body } = answer;
  const headers: string[] = [];
  const add = (name: string, value: string) => headers.push(name, value);
  for (const [name, value] of answer.headers) add(name, value);
  for (const [name, value] of ownHeaders(edge, requestId)) add(name, value);
  const standing = meters?.standing() ?? null;
  if (standing !== null) for (const [name, value] of standingHeaders(standing)) add(name, value);
  if (isLast || edge.http.isDraining()) add('connection', 'close');
  const bytes = answer.bytes ?? lengthOf(body);
  if (bytes !== null && status !== 204 && status !== 304) add('content-length', String(bytes));
  res.writeHead(status, headers);
  if (isHead || body === null || bytes === 0) res.end();
  else if (typeof body === 'string' || body instanceof Uint8Array) {
    meters?.move('bytesOut', lengthOf(body) ?? 0);
    res.end(body);
  } else await sendStream(edge, res, body, meters);
}

function ownHeaders(edge: S3Edge, requestId: string): HeaderPair[] {
  return [
    ...Object.entries(commonHeaders(edge.http, requestId, null)),
    ['x-amz-request-id', requestId],
    ['x-amz-id-2', requestId],
    ['server', 'minikv'],
  ];
}

function lengthOf(body: Answer['body']): number | null {
  if (typeof body === 'string') return Buffer.byteLength(body);
  return body instanceof Uint8Array ? body.length : null;
}

async function sendStream(
  edge: S3Edge,
  res: EdgeResponse,
  body: AsyncIterable<Uint8Array>,
  meters: Meters | null,
): Promise<void> {
  for await (const piece of body) {
    if (res.destroyed || res.closed) return;
    if (!res.write(piece)) await drained(edge, res);
    const pause = meters?.pace('bytesOut', piece.length) ?? null;
    if (pause !== null) await pause;
  }
  res.end();
}

/** A reader that leaves its socket full for too long loses it. */
function drained(edge: S3Edge, res: EdgeResponse): Promise<void> {
  return new Promise((resolve) => {
    const cancel = edge.http.clock.after(edge.http.bounds.stallMs, () => res.destroy());
    const done = (): void => {
      cancel();
      res.off('drain', done);
      res.off('close', done);
      resolve();
    };
    res.on('drain', done);
    res.on('close', done);
  });
}
