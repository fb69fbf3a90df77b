import type { Writable } from 'node:stream';
import type { Edge } from '../http/app.ts';
import type { Meters } from '../limits/rate-limits.ts';
import { countSent, type Encoder } from './encoder.ts';
import type { OpenWatch } from './open.ts';

/** Where a watch's messages go: an SSE response or a WebSocket. */
export interface Stream {
  readonly transport: 'sse' | 'websocket';
  readonly encoder: Encoder;
  /** Writes encoded messages. False: the reader is behind, wait for `drained` before the next. */
  write(bytes: Buffer): boolean;
  /** Resolves when the reader caught up, or the connection ended. */
  drained(): Promise<void>;
  /** Keeps an idle connection alive and notices a dead one. */
  heartbeat(): void;
  readonly isOpen: boolean;
  /** Drops the connection without a word: its reader has stopped reading. */
  cut(): void;
  /** Ends it. `draining`: this node goes away; `ended`, `lagged`, `compacted`: the watch did. */
  end(why: StreamEnd): void;
}

/** `revoked`: its reader may not watch any more. */
export type StreamEnd = 'draining' | 'failed' | 'ended' | 'lagged' | 'compacted' | 'revoked';

/**
 * Moves a watch's messages to a stream, at the reader's pace: the next messages are asked for when the
 * last have left, so what a slow reader costs is bounded by the watch's own queue, which ends with
 * `lagged`. Nothing is sent to a reader who may not watch any more. A reader that takes nothing for `stallMs` is cut off.
 */
export async function pump(
  edge: Edge,
  stream: Stream,
  opened: OpenWatch,
  meters: Meters | null,
): Promise<void> {
  const labels = { transport: stream.transport };
  const { watch, grant } = opened;
  let isDraining = false;
  const drain = (): void => {
    isDraining = true;
    watch.close();
  };
  edge.streams.add(drain);
  edge.telemetry.gauge('watchers', edge.streams.size, labels);
  const stopBeating = beat(edge, stream);
  let end: StreamEnd = 'ended';
  const forget = grant?.follow(() => {
    end = 'revoked';
    watch.close();
  });
  try {
    let messages = await opened.first;
    while (messages !== null && stream.isOpen && !isDraining) {
      const allowed = grant === null ? 'good' : (grant.checkNow() ?? (await grant.check()));
      if (allowed !== 'good') {
        end = allowed === 'ended' ? 'revoked' : 'failed';
        break;
      }
      const encoded = stream.encoder.encode(messages);
      countSent(edge.telemetry, encoded);
      const last = messages[messages.length - 1]?.type;
      if (last === 'lagged' || last === 'compacted') end = last;
      if (!stream.write(encoded.bytes)) await caughtUp(edge, stream);
      if (!stream.isOpen) return;
      const pause = meters?.pace('bytesOut', encoded.bytes.length) ?? null;
      if (pause !== null) await pause;
      messages = await watch.next();
    }
    stream.end(isDraining ? 'draining' : end);
  } catch (error) {
    edge.telemetry.log('warn', 'a watch failed', { error: String(error) });
    stream.end(isDraining ? 'draining' : 'failed');
  } finally {
    stopBeating();
    forget?.();
    watch.close();
    edge.streams.delete(drain);
    edge.telemetry.gauge('watchers', edge.streams.size, labels);
  }
}

/** Waits for the reader; cuts it off when it takes nothing for too long. */
async function caughtUp(edge: Edge, stream: Stream): Promise<void> {
  const cancel = edge.clock.after(edge.bounds.stallMs, () => stream.cut());
  await stream.drained().finally(cancel);
}

/** Resolves when `out` can be written to again, or is gone. */
export function whenDrained(out: Writable, isGone: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    if (isGone() || !out.writableNeedDrain) {
      resolve();
      return;
    }
    const done = (): void => {
      out.off('drain', done);
      out.off('close', done);
      resolve();
    };
    out.on('drain', done);
    out.on('close', done);
  });
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
