import type { Telemetry } from '../../observability/port.ts';
import type { WatchMessage } from '../../protocol/service.ts';

/** Bytes of messages, framed for one transport. */
export interface Encoded {
  readonly bytes: Buffer;
  readonly counts: readonly TypeCount[];
  readonly hasLagged: boolean;
}

interface TypeCount {
  readonly labels: { readonly type: string };
  count: number;
}

/** What one transport and shape makes of messages. Messages that are not shown yield nothing. */
export type Frames = (messages: readonly WatchMessage[]) => Buffer;

/**
 * Encodes a batch once for all of its readers: the hub gives all watchers of one selection the same
 * array (protocol/service.ts, Watch), and what was made of it is kept as long as the array lives.
 */
export class Encoder {
  readonly #frames: Frames;
  readonly #known = new WeakMap<readonly WatchMessage[], Encoded>();

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  encode(messages: readonly WatchMessage[]): Encoded {
    const known = this.#known.get(messages);
    if (known !== undefined) return known;
    const encoded = {
      bytes: this.#frames(messages),
      counts: countsOf(messages),
      hasLagged: messages.some(({ type }) => type === 'lagged'),
    };
    this.#known.set(messages, encoded);
    return encoded;
  }
}

/** Reports one reader's share of what was sent. */
export function countSent(telemetry: Telemetry, { counts, hasLagged }: Encoded): void {
  for (const { labels, count } of counts) telemetry.count('watch_events', count, labels);
  if (hasLagged) telemetry.count('watch_lagged');
}

function countsOf(messages: readonly WatchMessage[]): TypeCount[] {
  const counts: TypeCount[] = [];
  for (const message of messages) {
    const type = message.type === 'event' ? message.event.kind : message.type;
    const known = counts.find(({ labels }) => labels.type === type);
    if (known === undefined) counts.push({ labels: { type }, count: 1 });
    else known.count++;
  }
  return counts;
}
