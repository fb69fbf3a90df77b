import type { Static } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { isBucketName } from '../../protocol/objects.ts';
import type { RequestContext, Watch, WatchMessage, WatchOptions } from '../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import type { Edge, RequestState } from '../http/app.ts';
import { storeFor } from '../http/rate-limit.ts';
import type * as schemas from '../http/schemas.ts';
import type { Grant } from '../identity/grant.ts';
import { asksOfWatch } from '../identity/guarded-store.ts';
import { tooLarge } from '../kv/shapes.ts';
import type { Meters } from '../limits/rate-limits.ts';

export type WatchQueryFields = Static<typeof schemas.WatchQuery>;

/** A watch whose resume point was found good. `first` is its first `next`, already asked for. */
export interface OpenWatch {
  readonly watch: Watch;
  readonly first: Promise<readonly WatchMessage[] | null>;
  /** That its reader may see all of it; null where nobody is asked. */
  readonly grant: Grant | null;
}

/** What a client asked to watch. Last-Event-ID goes before `from`: a browser repeats the URL when it resumes. */
export function watchOptions(query: WatchQueryFields, lastEventId: unknown): WatchOptions {
  const prefix = query.prefix ?? '';
  if (prefix.length > LIMITS.keyBytesMax) throw tooLarge('keyBytesMax', LIMITS.keyBytesMax);
  const space = query.bucket ?? KV_SPACE;
  if (query.bucket !== undefined && !isBucketName(query.bucket)) {
    throw new AppError('invalid_argument', 'that is no name of a bucket');
  }
  const isResumed = typeof lastEventId === 'string' && lastEventId !== '';
  const from = isResumed ? lastEventId : query.from;
  return {
    ...{ tenant: DEFAULT_TENANT, space, prefix },
    from: from === undefined ? null : resumePoint(from),
    // Ids are only given after the initial items (sse.ts), so whoever has one is past them.
    initial: query.initial === true && !isResumed,
    prev: query.prev ?? false,
  };
}

const REVISION = /^[0-9]{1,16}$/;
const TOKEN = /^[A-Za-z0-9_.~=-]{1,8192}$/;

function resumePoint(text: string): { revision: number } | { token: string } {
  if (REVISION.test(text) && Number.isSafeInteger(Number(text))) return { revision: Number(text) };
  if (!TOKEN.test(text) || /^-?[0-9]+$/.test(text)) {
    throw new AppError('invalid_argument', 'the resume point is neither a revision nor a token');
  }
  return { token: text };
}

/**
 * Opens a watch. Where it resumes, its first messages are awaited for a moment: a point that is no
 * longer kept is then a 410, not a stream that ends at once. Throws AppError. `admitted`: that its reader may watch.
 */
export async function openWatch(
  edge: Edge,
  ctx: RequestContext,
  options: WatchOptions,
  { grant: admitted, meters }: Pick<RequestState, 'grant' | 'meters'>,
): Promise<OpenWatch> {
  const guard = admitted?.guard ?? null;
  const grant = guard === null ? admitted : (admitted?.about(asksOfWatch(options)) ?? null);
  guard?.check(...asksOfWatch(options));
  if (edge.isDraining()) throw new AppError('unavailable', 'this node is going away');
  if (edge.streams.size >= LIMITS.watchersPerNodeMax) {
    throw new AppError('overloaded', 'too many watches are open on this node');
  }
  const store = storeFor(edge, admitted);
  const watch = await counted(meters, () => store.watch(ctx, options));
  const first = watch.next();
  // Whoever awaits it later sees its failure; until then it is not unhandled.
  first.catch(() => {});
  if (options.from === null) return { watch, first, grant };
  let cancel = (): void => {};
  const moment = new Promise<null>((resolve) => {
    cancel = edge.clock.after(edge.bounds.resumeCheckMs, () => resolve(null));
  });
  const early = await Promise.race([first, moment]).finally(cancel);
  const [message] = early ?? [];
  if (message?.type === 'compacted') {
    watch.close();
    throw new AppError('compacted', 'the resume point is older than the retention window', {
      details: { oldestRevision: message.oldestRevision },
    });
  }
  return { watch, first, grant };
}

/** A watch that counts as open until it is closed. Throws `rate_limited`. */
async function counted(meters: Meters | null, open: () => Promise<Watch>): Promise<Watch> {
  if (meters === null) return open();
  const leave = meters.openWatch();
  try {
    const watch = await open();
    return {
      next: () => watch.next(),
      close: () => {
        leave();
        watch.close();
      },
    };
  } catch (error) {
    leave();
    throw error;
  }
}
