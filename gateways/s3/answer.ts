import type { Markup } from './xml-writer.ts';

export type HeaderPair = readonly [name: string, value: string];

/** What goes back to the client. */
export interface Answer {
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  /** Null: no body, also no length. */
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array> | null;
  /** Of a body that is a stream, or that HEAD does not send. */
  readonly bytes?: number;
  /** Keys that the sender may not touch, where the answer as a whole is no refusal. */
  readonly deniedKeys?: readonly string[];
}

export function xmlAnswer(document: string | Markup, headers: readonly HeaderPair[] = []): Answer {
  return {
    status: 200,
    headers: [['content-type', 'application/xml'], ...headers],
    body: document,
  };
}

export function emptyAnswer(status: 200 | 204, headers: readonly HeaderPair[] = []): Answer {
  return { status, headers, body: status === 204 ? null : '' };
}

/** A header where there is a value. */
export function headerOr(name: string, value: string | null): readonly HeaderPair[] {
  return value === null ? [] : [[name, value]];
}
