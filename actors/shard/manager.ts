import type { Telemetry } from '../../observability/port.ts';
import { type GroupId, META_GROUP, type ReplicaId } from '../../protocol/types.ts';
import type { SeenNode } from '../presence.ts';
import type { Calls } from '../router/calls.ts';
import { REPLICAS } from '../router/shard-map.ts';
import { type ShardActor, type ShardEffects, startShardMachine } from './machine.ts';
import { type Observed, type ObservedGroup, planSteps, type Step } from './plan.ts';

const CALL_MS = 2_000;
/** Leaders move for balance only when no leader has changed for this long. */
const STEADY_MS = 5_000;
/** A node silent for longer is not counted on. */
const LATELY_MS = 5_000;

/** What the shard manager needs of its node. */
export interface ShardHost {
  readonly calls: Calls;
  readonly telemetry: Telemetry;
  readonly groupCount: number;
  /** Monotonic. */
  nowMs(): number;
  leadsMeta(): boolean;
  /** Nodes seen, and how long ago. */
  nodes(): readonly { readonly seen: SeenNode; readonly msAgo: number }[];
  /** Every incarnation heard lately. */
  living(): readonly ReplicaId[];
}

/** Runs the shard manager's machine against the cluster. */
export class ShardManager implements ShardEffects {
  readonly #host: ShardHost;
  readonly #actor: ShardActor;
  #stopped = false;
  /** Terms of all groups as last observed, and since when they are the same. */
  #leaders = '';
  #steadySinceMs = 0;

  constructor(host: ShardHost) {
    this.#host = host;
    this.#actor = startShardMachine(this);
  }

  /** Called about twice a second. */
  tick(): void {
    if (!this.#stopped) this.#actor.send({ type: 'tick' });
  }

  stop(): void {
    this.#stopped = true;
    this.#actor.stop();
  }

  // ShardEffects.

  leadsMeta(): boolean {
    return this.#host.leadsMeta();
  }

  observe(): void {
    this.#observe().then(
      (observed) => this.#tell({ type: 'observed', observed }),
      () => this.#tell({ type: 'failed' }),
    );
  }

  execute(observed: Observed): void {
    const steps = planSteps(observed, REPLICAS);
    Promise.all(steps.map((step) => this.#order(step))).then(
      () => this.#tell({ type: 'executed', steps }),
      () => this.#tell({ type: 'failed' }),
    );
  }

  #tell(event: Parameters<ShardActor['send']>[0]): void {
    if (!this.#stopped) this.#actor.send(event);
  }

  async #observe(): Promise<Observed> {
    const ids: GroupId[] = [];
    for (let id = META_GROUP as number; id <= this.#host.groupCount; id++) ids.push(id as GroupId);
    const answers = await Promise.allSettled(ids.map((group) => this.#statusOf(group)));
    const groups: ObservedGroup[] = [];
    for (const answer of answers) {
      if (answer.status === 'fulfilled' && answer.value !== null) groups.push(answer.value);
    }
    const nodes = this.#host
      .nodes()
      .filter(({ msAgo }) => msAgo <= LATELY_MS)
      .map(({ seen }) => ({
        nodeId: seen.nodeId,
        replica: seen.replica,
        isReplica: seen.roles.includes('replica'),
        isWell: seen.disk === 'ok',
      }));
    const living = new Set(this.#host.living());
    return { nodes, living, groups, isSteady: this.#isSteady(groups) };
  }

  /**
   * Elections that follow one another show that processes are starved or links are bad: moving leaders
   * for balance would add to it.
   */
  #isSteady(groups: readonly ObservedGroup[]): boolean {
    const nowMs = this.#host.nowMs();
    const leaders = groups.map(({ group, leader }) => `${group}:${leader.term}`).join();
    if (leaders !== this.#leaders) {
      this.#leaders = leaders;
      this.#steadySinceMs = nowMs;
    }
    return nowMs - this.#steadySinceMs >= STEADY_MS;
  }

  async #statusOf(group: GroupId): Promise<ObservedGroup | null> {
    const { status } = await this.#host.calls.call(group, { type: 'Status' }, 'Status', OPTIONS);
    return status.role === 'leader' ? { group, leader: status } : null;
  }

  async #order(step: Step): Promise<void> {
    const { calls, telemetry } = this.#host;
    telemetry.log('info', 'placement step', { ...step });
    if (step.type === 'TransferLeader') {
      await calls.call(step.group, { type: 'TransferLeader', to: step.to }, 'Done', OPTIONS);
      return;
    }
    const { group, configIndex, voters, learners } = step;
    const members = { voters: [...voters], learners: [...learners] };
    const body = { type: 'ChangeMembers' as const, configIndex, ...members };
    await calls.call(group, body, 'Done', OPTIONS);
  }
}

const OPTIONS = {
  deadlineMs: CALL_MS,
  traceparent: null,
  target: 'leader',
  repeatable: true,
} as const;
