import { Agent, type IncomingHttpHeaders, request } from 'node:http';

/** Milliseconds that the server is given, and that a client waits for it. */
const SERVER_MS = 1_500;
const CLIENT_MS = 2_500;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** `refused`: the request certainly never arrived. `lost`: nobody knows. */
export type Reply = Answer | 'refused' | 'lost';

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** One request. Never rejects. */
export function send(
  base: string,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body: string | null = null,
): Promise<Reply> {
  return new Promise((resolve) => {
    const all = { 'x-minikv-timeout-ms': `${SERVER_MS}`, ...headers };
    const call = request(`${base}${path}`, { method, agent, headers: all }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('error', () => finish('lost'));
      answer.on('close', () => finish('lost'));
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8');
        finish({ status: answer.statusCode ?? 0, headers: answer.headers, text });
      });
    });
    const timer = setTimeout(() => call.destroy(), CLIENT_MS);
    const finish = (reply: Reply): void => {
      clearTimeout(timer);
      resolve(reply);
    };
    call.on('error', (error: NodeJS.ErrnoException) => {
      finish(error.code === 'ECONNREFUSED' ? 'refused' : 'lost');
    });
    // A connection may be given to the request only after the timer has destroyed it.
    call.on('close', () => finish('lost'));
    call.end(body ?? undefined);
  });
}

/** The fields of a JSON answer; none where it is not JSON. */
export function fieldsOf(answer: Answer): Record<string, unknown> {
  try {
    return JSON.parse(answer.text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

export function nameOf(reply: Reply): string {
  if (typeof reply === 'string') return reply;
  const { code } = fieldsOf(reply);
  return typeof code === 'string' ? `${reply.status} ${code}` : `${reply.status}`;
}

/** Whether the server proves that nothing was done, or the request never reached it. */
export function isDefinite(reply: Reply): boolean {
  if (typeof reply === 'string') return reply === 'refused';
  return reply.status >= 400 && fieldsOf(reply)['definite'] === true;
}

export function revisionOf(answer: Answer): number {
  return Number(answer.headers.etag?.replaceAll('"', '') ?? 0);
}
