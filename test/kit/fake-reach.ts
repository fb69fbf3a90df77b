import { QuotaRounds } from '../../actors/quota/rounds.ts';
import { Calls, type OutgoingRequest, type Reach } from '../../actors/router/calls.ts';
import { PendingRequests } from '../../actors/router/pending.ts';
import { NO_TELEMETRY } from '../../observability/port.ts';
import type { ReplyBody, RequestBody } from '../../protocol/messages/request.ts';
import type { GroupId, NodeId } from '../../protocol/types.ts';
import type { FakeReplica } from './fake-replica.ts';
import { HandClock } from './hand-clock.ts';

export interface AskedRequest {
  readonly node: NodeId;
  readonly group: GroupId;
  readonly requestId: number;
  readonly body: RequestBody;
}

/** What a request gets: a reply, nothing, or it cannot be sent. A promise replies later. */
export type Answer = ReplyBody | 'silence' | 'not sent' | Promise<ReplyBody>;

/** Calls over groups that the test plays. */
export class FakeReach implements Reach {
  readonly nodeId = 'n1' as NodeId;
  readonly clock: HandClock;
  readonly pending: PendingRequests;
  readonly calls: Calls;
  readonly asked: AskedRequest[] = [];
  readonly leaders = new Map<GroupId, NodeId>();
  readonly local = new Set<GroupId>();
  others: NodeId[] = [];
  answer: (asked: AskedRequest) => Answer = () => 'silence';

  constructor(clock = new HandClock(), telemetry = NO_TELEMETRY) {
    this.clock = clock;
    this.pending = new PendingRequests(clock, 1);
    this.calls = new Calls(clock, this, this.pending, telemetry);
  }

  leaderOf(group: GroupId): NodeId | null {
    return this.leaders.get(group) ?? null;
  }

  noteLeader(group: GroupId, leader: NodeId | null): void {
    if (leader === null) this.leaders.delete(group);
    else this.leaders.set(group, leader);
  }

  isLocal(group: GroupId): boolean {
    return this.local.has(group);
  }

  candidates(): readonly NodeId[] {
    return this.others;
  }

  send(node: NodeId, group: GroupId, request: OutgoingRequest): boolean {
    const asked = { node, group, requestId: request.requestId, body: request.body };
    this.asked.push(asked);
    const answer = this.answer(asked);
    if (answer === 'not sent') return false;
    if (answer instanceof Promise) {
      void answer.then((body) => this.pending.reply(request.requestId, body));
    } else if (answer !== 'silence') {
      this.clock.soon(() => this.pending.reply(request.requestId, answer));
    }
    return true;
  }

  /** Lets time go by until the promise settles; its value, or what it rejected with. */
  async outcome<T>(promise: Promise<T>): Promise<T | unknown> {
    let settled: { readonly value: T | unknown } | null = null;
    promise.then(
      (value) => {
        settled = { value };
      },
      (value: unknown) => {
        settled = { value };
      },
    );
    for (let i = 0; i < 20_000 && settled === null; i++) await this.clock.pass(settled ? 0 : 5);
    if (settled === null) throw new Error('it waits for something that never comes');
    return (settled as { value: T | unknown }).value;
  }
}

export function rejected(
  code: string,
  more: { definite?: boolean; leader?: NodeId | null; hint?: number } = {},
): ReplyBody {
  const { definite = true, leader = null, hint = 0 } = more;
  return { type: 'Rejected', code, definite, message: code, leader, hint };
}

/** Redistributions of quotas among the groups 1 and 2. */
export function quotaRounds({ ports }: FakeReplica, { calls }: FakeReach): QuotaRounds {
  const { clock, random } = ports;
  return new QuotaRounds({ calls, clock, random, groups: () => [1, 2] as GroupId[] });
}
