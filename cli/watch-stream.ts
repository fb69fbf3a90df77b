import { type Client, query, RequestFailed } from './client.ts';
import { CommandFailed } from './failures.ts';
import { type Io, sleep } from './io.ts';
import { type SseEvent, SseReader } from './sse.ts';

export interface WatchRequest {
  readonly prefix: string;
  /** A revision or a token; undefined: from now on. */
  readonly from: string | undefined;
  readonly initial: boolean;
  readonly prev: boolean;
}

const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 2_000;

/**
 * Change events without a gap: a cut stream is opened again, at the next node if need be, after the last
 * event that came through. Ends when `signal` aborts or the server says `compacted` (the resume point is
 * gone; thrown as CommandFailed, since events would be missing).
 */
export async function* watchEvents(
  io: Io,
  client: Client,
  request: WatchRequest,
): AsyncGenerator<SseEvent> {
  let token: string | null = null;
  let failures = 0;
  while (!io.signal.aborted) {
    const closing = new AbortController();
    try {
      const response = await openWatch(io, client, request, token, closing);
      for await (const event of eventsOf(response)) {
        failures = 0;
        if (event.id !== null) token = event.id;
        if (event.event === 'compacted') throw compacted(event);
        yield event;
        // A slow reader: the server ends this stream, and the token is where to go on.
        if (event.event === 'lagged') break;
      }
    } catch (error) {
      if (io.signal.aborted) return;
      if (error instanceof CommandFailed) throw error;
    } finally {
      closing.abort();
    }
    const waitMs = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** failures);
    failures += 1;
    await sleep(io, waitMs);
  }
}

function openWatch(
  io: Io,
  client: Client,
  request: WatchRequest,
  token: string | null,
  closing: AbortController,
): Promise<Response> {
  const { prefix, from, initial, prev } = request;
  const resuming = token !== null;
  const path = `/v1/watch${query({
    prefix: prefix === '' ? undefined : prefix,
    from: resuming ? undefined : from,
    initial: initial && !resuming,
    prev,
  })}`;
  const headers: Record<string, string> = { accept: 'text/event-stream' };
  if (resuming) headers['last-event-id'] = token;
  return client.stream(path, headers, AbortSignal.any([io.signal, closing.signal]));
}

async function* eventsOf(response: Response): AsyncGenerator<SseEvent> {
  if (response.body === null) return;
  const reader = new SseReader();
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    yield* reader.push(decoder.decode(chunk, { stream: true }));
  }
}

function compacted(event: SseEvent): RequestFailed {
  let details: Record<string, unknown> = {};
  try {
    details = JSON.parse(event.data) as Record<string, unknown>;
  } catch {
    // The name of the event says it all.
  }
  return new RequestFailed(
    `events before revision ${String(details['oldestRevision'] ?? '?')} are gone: read the current keys, then watch from there [compacted]`,
    { code: 'compacted', status: 410, definite: true, retryAfterMs: null },
    { ...details, code: 'compacted' },
  );
}
