import {
  NOTIFIED_EVENTS,
  type NotificationRule,
  type Requester,
} from '../../protocol/notifications.ts';
import type { Buckets } from '../../protocol/object-access.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { MOODY, STEADY } from './targets.ts';

const PREFIXES = ['', '', 'v', 'd', 'x/'] as const;
const SUFFIXES = ['', '', '', '0', '1'] as const;
const CHANGE_CHANCE = 0.02;

/** What clients of objects do with notifications. It draws from a stream of its own: all else stays what it was. */
export class NotifyWork {
  readonly #random: Random;
  #number = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Who asks, and for what. */
  requester(): Requester {
    const draw = this.#random.next();
    const via = draw < 0.2 ? 'copy' : draw < 0.3 ? 'post' : 'other';
    return { via, principal: 'sim', address: '10.0.0.1', requestId: `r${this.#number++}` };
  }

  /** Of a bucket that was made just now. */
  async begin(buckets: Buckets, ctx: RequestContext, name: string): Promise<void> {
    await buckets.change(ctx, DEFAULT_TENANT, name, { notifications: this.#rules() });
  }

  /** Now and then others are told of other things, or nobody of anything: what to do then. */
  change(
    names: readonly string[],
  ): ((buckets: Buckets, ctx: RequestContext) => Promise<void>) | null {
    if (this.#random.next() >= CHANGE_CHANCE) return null;
    const name = names[randomInt(this.#random, 0, names.length - 1)] as string;
    const notifications = this.#random.next() < 0.2 ? [] : this.#rules();
    return async (buckets, ctx) => {
      await buckets.change(ctx, DEFAULT_TENANT, name, { notifications });
    };
  }

  #rules(): NotificationRule[] {
    const target = this.#random.next() < 0.5 ? STEADY : MOODY;
    const events = [...NOTIFIED_EVENTS];
    const all = { id: 'all', target, events, prefix: '', suffix: '' };
    // Rules that were entered before buckets' owners were noted have none.
    const some = { id: 'some', target: target === STEADY ? MOODY : STEADY, bucketOwner: 'sim' };
    const draw = this.#random.next();
    if (draw < 0.3) return [all];
    const isOfPuts = draw < 0.6;
    const filtered = events.filter((event) => !isOfPuts || event.startsWith('ObjectCreated:'));
    const prefix = PREFIXES[randomInt(this.#random, 0, PREFIXES.length - 1)] as string;
    const suffix = SUFFIXES[randomInt(this.#random, 0, SUFFIXES.length - 1)] as string;
    return [all, { ...some, events: filtered, prefix, suffix }];
  }
}
