import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { afterAll } from 'vitest';
import type { ModelServer } from './http-start.ts';

export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** The service fails with this. */
  readonly failure?: Error;
}

export interface Shown {
  readonly status: string;
  readonly headers: string[];
  readonly body: string;
}

const agent = new Agent({ keepAlive: true });
afterAll(() => agent.destroy());

/** The answer with all that may differ between two runs taken out: request ids and the Date. */
export async function ask(
  { url }: ModelServer,
  { method, path, headers, body }: Ask,
): Promise<Shown> {
  const { hostname, port } = new URL(url);
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = {
      agent,
      hostname,
      port,
      method,
      path,
      headers: headers as IncomingHttpHeaders,
    };
    request(options, resolve).on('error', reject).end(body);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const id = String(answer.headers['x-request-id']);
  const shown: string[] = [];
  for (let i = 0; i < answer.rawHeaders.length; i += 2) {
    const name = answer.rawHeaders[i] ?? '';
    const value = (answer.rawHeaders[i + 1] ?? '').replace(id, 'ID');
    shown.push(`${name}: ${name === 'Date' ? 'NOW' : value}`);
  }
  const status = `${answer.httpVersion} ${answer.statusCode} ${answer.statusMessage}`;
  return {
    status,
    headers: shown,
    body: Buffer.concat(chunks).toString('latin1').replace(id, 'ID'),
  };
}
