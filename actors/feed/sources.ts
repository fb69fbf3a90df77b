import type { Telemetry } from '../../observability/port.ts';
import { prefixEnd } from '../../protocol/bytes.ts';
import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Item, Position } from '../../protocol/messages/request.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import { encodeToken, positionAfter, positionOf } from '../apply/position.ts';
import type { Calls } from '../router/calls.ts';
import { scanPage } from '../router/scan.ts';
import type { ShardMap } from '../router/shard-map.ts';
import { FeedFollower } from './follower.ts';
import { shareEvent, type Watcher, type WatchSource } from './watcher.ts';

/** What a source needs of the hub. */
export interface FeedAccess {
  readonly clock: Clock;
  readonly calls: Calls;
  readonly telemetry: Telemetry;
  groups(): GroupId[];
  map(): ShardMap;
  join(watcher: Watcher): void;
  reaches(position: Position): boolean;
}

const READ: RequestContext = { deadlineMs: 10_000, traceparent: null, idempotency: null };

/** The current state as `put` messages, page by page as the reader asks, then `synced`. */
export class InitialSource implements WatchSource {
  readonly #hub: FeedAccess;
  readonly #watcher: Watcher;
  readonly #revision: Revision;
  #start: string;
  #busy = false;

  constructor(hub: FeedAccess, watcher: Watcher, revision: Revision) {
    this.#hub = hub;
    this.#watcher = watcher;
    this.#revision = revision;
    this.#start = watcher.options.prefix;
  }

  pull(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#page().catch((error: unknown) => this.#watcher.fail(error));
  }

  stop(): void {
    this.#busy = true;
  }

  async #page(): Promise<void> {
    const { tenant, space, prefix } = this.#watcher.options;
    const page = await scanPage(this.#hub.calls, this.#hub.map(), READ, {
      tenant,
      space,
      start: this.#start,
      end: prefixEnd(prefix),
      reverse: false,
      limit: LIMITS.pageItemsDefault,
      values: true,
      consistency: 'linearizable',
      revision: this.#revision,
    });
    if (this.#watcher.ended) return;
    // Before `synced` a resume starts the initial state anew, so the items carry no finer token.
    for (const item of page.items) this.#watcher.tell(initialMessage(item), null);
    if (page.next !== null) {
      this.#start = page.next;
      this.#busy = false;
      this.#watcher.deliver();
      if (page.items.length === 0) this.pull();
      return;
    }
    const position = positionAfter(this.#revision);
    const token = encodeToken(position);
    this.#watcher.tell({ type: 'synced', revision: this.#revision, token }, position);
    this.#hub.join(this.#watcher);
  }
}

function initialMessage(item: Item) {
  const event: ChangeEvent = {
    kind: 'put',
    ref: item.ref,
    vshard: vshardOf(item.ref),
    revision: item.revision,
    prevRevision: 0,
    sequence: 0,
    item,
    prev: null,
  };
  return shareEvent(event, positionOf(event), true).plain;
}

/** Catches up with a follower of the watcher's own, then joins the hub. */
export class BackfillSource implements WatchSource {
  readonly #follower: FeedFollower;

  constructor(hub: FeedAccess, watcher: Watcher) {
    const follower = new FeedFollower(
      hub.clock,
      hub.calls,
      hub.telemetry,
      hub.groups(),
      watcher.position,
      {
        onEvents: (events, reached) => {
          for (const event of events) watcher.offer(shareEvent(event, positionOf(event), false));
          watcher.reached(reached);
          if (watcher.ended) return;
          if (hub.reaches(watcher.position)) {
            follower.stop();
            hub.join(watcher);
            return;
          }
          watcher.deliver();
          if (!watcher.hasRoom()) follower.pause();
        },
        onCompacted: (oldestRevision) => watcher.end({ type: 'compacted', oldestRevision }),
      },
    );
    this.#follower = follower;
    follower.start();
  }

  pull(): void {
    this.#follower.resume();
  }

  stop(): void {
    this.#follower.stop();
  }
}
