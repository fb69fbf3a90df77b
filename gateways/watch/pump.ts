import type { WatchMessage } from '../../protocol/service.ts';
import type { Edge } from '../http/app.ts';
import type { OpenWatch } from './open.ts';

/** Where a watch's messages go: an SSE response or a WebSocket. */
export interface Stream {
  readonly transport: 'sse' | 'websocket';
  /** Takes one message. False: the reader is behind, wait for `drained` before the next. */
  send(message: WatchMessage): boolean;
  /** Writes what `send` gathered. False as above. */
  flush(): boolean;
  /** Resolves when the reader caught up, or the connection ended. */
  drained(): Promise<void>;
  /** Keeps an idle connection alive and notices a dead one. */
  heartbeat(): void;
  readonly isOpen: boolean;
  /** Drops the connection without a word: its reader has stopped reading. */
  cut(): void;
  /** Ends it. `why` is null when the watch came to its own end. */
  end(why: 'draining' | 'failed' | null): void;
}

/**
 * Moves a watch's messages to a stream, at the reader's pace: the next messages are asked for when the
 * last have left, so what a slow reader costs is bounded by the watch's own buffer, which ends with
 * `lagged`. A reader that takes nothing for `stallMs` is cut off.
 */
export async function pump(edge: Edge, stream: Stream, opened: OpenWatch): Promise<void> {
  const labels = { transport: stream.transport };
  const { watch } = opened;
  let isDraining = false;
  const drain = (): void => {
    isDraining = true;
    watch.close();
  };
  edge.streams.add(drain);
  edge.telemetry.gauge('watchers', edge.streams.size, labels);
  const stopBeating = beat(edge, stream);
  try {
    let messages = await opened.first;
    while (messages !== null && stream.isOpen && !isDraining) {
      for (const message of messages) {
        count(edge, message);
        if (!stream.send(message)) await caughtUp(edge, stream);
        if (!stream.isOpen) return;
      }
      if (!stream.flush()) await caughtUp(edge, stream);
      messages = await watch.next();
    }
    stream.end(isDraining ? 'draining' : null);
  } catch (error) {
    edge.telemetry.log('warn', 'a watch failed', { error: String(error) });
    stream.end(isDraining ? 'draining' : 'failed');
  } finally {
    stopBeating();
    watch.close();
    edge.streams.delete(drain);
    edge.telemetry.gauge('watchers', edge.streams.size, labels);
  }
}

function count(edge: Edge, message: WatchMessage): void {
  const type = message.type === 'event' ? message.event.kind : message.type;
  edge.telemetry.count('watch_events', 1, { type });
  if (message.type === 'lagged') edge.telemetry.count('watch_lagged');
}

/** Waits for the reader; cuts it off when it takes nothing for too long. */
async function caughtUp(edge: Edge, stream: Stream): Promise<void> {
  const cancel = edge.clock.after(edge.bounds.stallMs, () => stream.cut());
  await stream.drained().finally(cancel);
}

function beat(edge: Edge, stream: Stream): () => void {
  let cancel = (): void => {};
  const arm = (): void => {
    cancel = edge.clock.after(edge.bounds.heartbeatMs, () => {
      stream.heartbeat();
      arm();
    });
  };
  arm();
  return () => cancel();
}
