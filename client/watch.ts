import { after, jittered, sleep } from './ambient.ts';
import { type Key, queryOf } from './bytes.ts';
import { MinikvError } from './errors.ts';
import { Item, type ItemFields, itemOf, keyOf, type RawItem } from './item.ts';
import { bytesOf } from './operations.ts';
import { readPage } from './ranges.ts';
import { type SseEvent, SseParser } from './sse.ts';
import type { Transport } from './transport.ts';

export interface WatchOptions {
  readonly prefix?: Key | undefined;
  /** Everything after this: a revision, or the `token` of an event. Default: from now on. */
  readonly from?: number | string | undefined;
  /** First every current item as a `put`, then `synced`, then changes. */
  readonly initial?: boolean | undefined;
  /** Whether events carry the version they replaced. */
  readonly prev?: boolean | undefined;
  /** Whether `progress` marks are shown too: nothing happened up to their revision. Default false. */
  readonly progress?: boolean | undefined;
  /** Ends the watch: the iteration is over, without an error. */
  readonly signal?: AbortSignal | undefined;
}

export interface ChangeEvent {
  readonly type: 'put' | 'delete' | 'expire';
  readonly key: string;
  readonly keyBytes: Uint8Array;
  readonly revision: number;
  readonly prevRevision: number;
  /** The new version of a put, else null. */
  readonly item: Item | null;
  /** What it replaced; only with `prev`. */
  readonly prev: Item | null;
  /** Resumes exactly after this event; null among the initial items. */
  readonly token: string | null;
}

export interface WatchMark {
  readonly type: 'synced' | 'progress';
  readonly revision: number;
  readonly token: string | null;
}

export type WatchMessage = ChangeEvent | WatchMark;

/** The server breaks a silence after 15 s: one that is longer by far is a dead connection. */
const SILENCE_MS_MAX = 45_000;
const PAUSE_MS_MAX = 2_000;

/** Where a watch stands, and how it is asked for from there. */
interface Place {
  from: number | string | undefined;
  lastId: string | null;
  initial: boolean;
}

/**
 * Changes in order, each once, over as many connections as it takes: after a cut it goes on behind the last
 * event seen, at any node. Ends with MinikvError `compacted` (the place to go on from is no longer kept;
 * `details.oldestRevision`) or `lagged` (read too slowly; `details.token` is where to go on).
 * A watch that is cut among its initial items begins with them again.
 */
export async function* watch(
  transport: Transport,
  options: WatchOptions,
): AsyncGenerator<WatchMessage, void, void> {
  const { prefix, signal, initial = false } = options;
  const place: Place = { from: options.from, lastId: null, initial };
  if (place.from === undefined && !initial) {
    // A definite beginning: without one a cut before the first event would lose what came between.
    const page = await readPage(transport, { prefix, limit: 1, values: false, signal });
    place.from = page.revision;
  }
  let pauseMs = 0;
  while (!signal?.aborted) {
    // A connection that brought nothing is not made again at once: somebody on the way may end all of them.
    let hasCome = false;
    try {
      for await (const event of connection(transport, options, place)) {
        const message = messageOf(event, place);
        if (message === null) continue;
        hasCome = true;
        pauseMs = 0;
        if (message.type !== 'progress' || options.progress === true) yield message;
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (!(error instanceof MinikvError) || !error.isPassing) throw error;
      hasCome = false;
    }
    if (!hasCome) pauseMs = Math.min(PAUSE_MS_MAX, Math.max(25, pauseMs * 2));
    await sleep(pauseMs === 0 ? 0 : jittered(pauseMs / 2), signal);
  }
}

/** The events of one connection, until it is cut. */
async function* connection(
  transport: Transport,
  options: WatchOptions,
  place: Place,
): AsyncGenerator<SseEvent, void, void> {
  const { prefix, prev, signal } = options;
  const { lastId, initial } = place;
  const isResumed = lastId !== null;
  const query = {
    ...{ prefix, prev },
    from: isResumed ? undefined : place.from,
    initial: initial && !isResumed ? true : undefined,
  };
  const { response, abort } = await transport.stream({
    ...{ method: 'GET', path: `/v1/watch${queryOf(query)}`, repeat: 'read', signal },
    headers: { accept: 'text/event-stream', ...(isResumed ? { 'last-event-id': lastId } : {}) },
  });
  const parser = new SseParser();
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  try {
    for (;;) {
      const cancel = after(SILENCE_MS_MAX, abort);
      const { done, value } = await reader.read().finally(cancel);
      if (done || value === undefined) return;
      yield* parser.take(value);
    }
  } catch (error) {
    throw new MinikvError('network', 'the watch was cut', { definite: true, cause: error });
  } finally {
    abort();
    reader.cancel().catch(() => {}); // of a stream that was just aborted
  }
}

interface RawEvent extends Partial<RawItem> {
  readonly prevRevision?: number;
  readonly prev?: RawItem;
  readonly oldestRevision?: number;
  readonly token?: string;
}

/** What an event says, null for a mere sign of life; notes where to resume. Throws how a watch ends. */
function messageOf({ event, id, data }: SseEvent, place: Place): WatchMessage | null {
  if (id !== null) place.lastId = id;
  if (event === null || data === null) return null;
  const raw = JSON.parse(data) as RawEvent;
  const { revision = 0, prevRevision = 0 } = raw;
  switch (event) {
    case 'put':
    case 'delete':
    case 'expire': {
      const keyBytes = keyOf(raw);
      const fields: ItemFields = { revision };
      const item = event === 'put' ? new Item(keyBytes, bytesOf(raw), fields) : null;
      const prev = raw.prev === undefined ? null : itemOf(raw.prev);
      const key = new TextDecoder().decode(keyBytes);
      return { type: event, key, keyBytes, revision, prevRevision, item, prev, token: id };
    }
    case 'synced':
    case 'progress':
      return { type: event, revision, token: id };
    case 'lagged':
      throw new MinikvError('lagged', 'the watch was read too slowly', {
        ...{ definite: true, details: { token: raw.token } },
      });
    case 'compacted':
      throw new MinikvError('compacted', 'the place to resume from is no longer kept', {
        ...{ definite: true, details: { oldestRevision: raw.oldestRevision } },
      });
    default:
      return null;
  }
}
