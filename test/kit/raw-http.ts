import { connect, type Socket } from 'node:net';
import { request } from 'undici';

/** Sends bytes as they are and gathers what comes back until the server closes or `waitMs` passes. */
export function raw(
  url: string,
  bytes: string | Uint8Array,
  waitMs = 1500,
): Promise<{ text: string; isClosed: boolean; tookMs: number }> {
  return new Promise((resolve) => {
    const started = performance.now();
    const socket = open(url);
    let text = '';
    const finish = (isClosed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, isClosed, tookMs: performance.now() - started });
    };
    const timer = setTimeout(() => finish(false), waitMs);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => finish(true));
    socket.on('close', () => finish(true));
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  });
}

export function open(url: string): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  return socket;
}

/** Status codes of all answers in a raw text, in order. */
export function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]));
}

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of any shape.
  readonly json: any;
}

/** One call through undici. `body` that is neither text nor bytes is sent as JSON. */
export async function call(
  url: string,
  method: string,
  path: string,
  options: { body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { body, headers = {} } = options;
  const isPlain = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
  const answer = await request(`${url}${path}`, {
    method: method as 'GET',
    headers: isPlain ? headers : { 'content-type': 'application/json', ...headers },
    body: (isPlain ? body : JSON.stringify(body)) as string,
  });
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  const text = bytes.toString('utf8');
  const isJson = /json/.test(String(answer.headers['content-type']).replace('ndjson', ''));
  const json: unknown = isJson && text !== '' ? JSON.parse(text) : null;
  return { status: answer.statusCode, headers: answer.headers, text, json };
}
