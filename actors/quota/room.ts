import { AppError } from '../../protocol/errors.ts';
import type { ReplyBody } from '../../protocol/messages/request.ts';
import type { Amounts, Shortage } from '../../protocol/quotas.ts';
import { type ReplicaContext, type Reply, rejected, waited } from '../replica/context.ts';
import type { GroupReach } from '../txn/coordinator.ts';

/** What follows, with what is to be answered by: one of them, once. */
export interface RoomEnd {
  /** Something has changed: perhaps there is room now, which is kept for it until it is answered. */
  again(reply: Reply): void;
  /** The quota of this scope has no room for it, in any group. */
  none(scope: string, reply: Reply): void;
}

/** Makes room in quotas for what a group was about to do: takes it from the shares of other groups. */
export class QuotaRoom {
  readonly #context: ReplicaContext;
  readonly #reach: () => GroupReach | null;

  constructor(context: ReplicaContext, reach: () => GroupReach | null) {
    this.#context = context;
    this.#reach = reach;
  }

  /** `clip`: where there is too little, all that there is. By `endMs` (monotonic). A refusal is replied here. */
  make(short: readonly Shortage[], endMs: number, reply: Reply, end: RoomEnd, clip = false): void {
    const { clock, telemetry } = this.#context.ports;
    const leftMs = endMs - clock.monotonicMs();
    const reach = this.#reach();
    if (reach === null || leftMs <= 0) return reply(BUSY);
    telemetry.count('quota_shortages', 1, { group: this.#context.group });
    const releases: (() => void)[] = [];
    const answer: Reply = (body) => {
      for (const release of releases.splice(0)) release();
      reply(body);
    };
    this.#each(reach, short, leftMs, clip, releases).then(
      (scope) => (scope === null ? end.again(answer) : end.none(scope, answer)),
      (error: unknown) => answer(failureOf(error)),
    );
  }

  /** Resolves with the first scope that has no room. */
  async #each(
    reach: GroupReach,
    short: readonly Shortage[],
    leftMs: number,
    clip: boolean,
    releases: (() => void)[],
  ): Promise<string | null> {
    const { group } = this.#context;
    let full: string | null = null;
    for (const { scope, growth } of short) {
      const reserve = (amounts: Amounts): void => {
        releases.push(this.#context.state.quotas.reserve(scope, amounts));
      };
      const found = await reach.quotas.obtain(scope, { group, growth }, clip, leftMs, reserve);
      if (found === 'none') full ??= scope;
      if (full !== null && !clip) return full;
    }
    return full;
  }
}

/** Nothing was done, certainly: what was asked of other groups changes no keys. */
function failureOf(error: unknown): ReplyBody {
  if (!(error instanceof AppError)) throw error;
  if (error.code === 'overloaded') return rejected('overloaded', error.message);
  return waited('unavailable', 'the groups that have room left in a quota do not answer');
}

const BUSY = waited('conflict', 'the last of a quota is wanted by others too');

export function noRoom(scope: string): ReplyBody {
  return rejected('quota_exceeded', `the quota of ${scope} has no room for it`);
}
