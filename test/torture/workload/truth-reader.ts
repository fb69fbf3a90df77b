import { wallMsOfRevision } from '../../../protocol/revision.ts';
import type { Change } from '../../check/truth.ts';
import { Stream } from './stream.ts';
import { seenOf } from './watcher.ts';

const AGAIN_MS = 300;

/**
 * Every change after `from` up to `upTo`, in order, from one node's change stream. `ttlOf`: seconds to
 * live of a value that was put with some. Rejects when it takes longer than `timeoutMs`.
 */
export function readTruth(options: {
  readonly url: string;
  readonly from: number;
  readonly upTo: number;
  readonly timeoutMs: number;
  ttlOf(value: string): number | null;
}): Promise<Change[]> {
  const { url, from, upTo, ttlOf } = options;
  const changes: Change[] = [];
  let lastId: string | null = null;
  return new Promise((resolve, reject) => {
    let stream: Stream | null = null;
    let isOver = false;
    const finish = (error: Error | null): void => {
      isOver = true;
      clearTimeout(timer);
      stream?.close();
      if (error === null) resolve(changes);
      else reject(error);
    };
    const timer = setTimeout(
      () => finish(new Error(`${url}: the change stream did not come to ${upTo}`)),
      options.timeoutMs,
    );
    const connect = (): void => {
      if (isOver) return;
      stream = new Stream(`${url}/v1/watch?from=${from}`, lastId, {
        onOpen: () => {},
        onEvent: (event) => {
          if (isOver) return;
          if (event.id !== null) lastId = event.id;
          const seen = seenOf(event);
          if (seen.type === 'compacted' || seen.type === 'lagged') return;
          if (seen.revision > upTo || (seen.type === 'progress' && seen.revision >= upTo)) {
            return finish(null);
          }
          if (seen.type !== 'event') return;
          const { kind, ref, vshard, revision, prevRevision, value } = seen;
          const ttl = value === null ? null : ttlOf(value);
          const expiresAtMs = ttl === null ? null : wallMsOfRevision(revision) + ttl * 1000;
          changes.push({ kind, ref, vshard, revision, prevRevision, value, expiresAtMs });
        },
        onEnd: (status) => {
          if (status === 410) return finish(new Error(`${url}: the history is compacted`));
          setTimeout(connect, AGAIN_MS);
        },
      });
    };
    connect();
  });
}
