import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { IndexInfo } from '../../protocol/index-access.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { Calls } from '../router/calls.ts';
import { withFailure, withState } from './catalog.ts';
import { changeCatalog, readCatalog, tellGroup } from './catalog-store.ts';
import { ClaimPass } from './claim-pass.ts';
import { type BuilderActor, type BuilderEffects, startBuilderMachine } from './machine.ts';
import { type Observed, type ObservedGroup, planWork, type Work } from './plan.ts';

const CALL_MS = 2_000;
/** How long one piece of work goes on taking steps before the world is looked at again. */
const WORK_MS = 1_000;
/** A step of claims is followed by a pause that is this many times as long as it took: others want the groups too. */
const PAUSE_SHARE = 1;
const PAUSE_MS_MAX = 100;
/** Groups that are asked for steps at a time; a node takes one at a time, at its own pace (kit/pace.ts). */
const FILLS_AT_ONCE = 2;

/** What the index builder needs of its node. */
export interface BuilderHost {
  readonly calls: Calls;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  /** Data groups of the cluster, ascending. */
  groups(): readonly GroupId[];
  /** Of the shard map. */
  epoch(): number;
  leadsMeta(): boolean;
}

/** Runs the index builder's machine against the cluster. */
export class IndexBuilder implements BuilderEffects {
  readonly #host: BuilderHost;
  readonly #actor: BuilderActor;
  #stopped = false;
  /** The unique index whose entries are being claimed; lost with leadership, and begun again then. */
  #claiming: { readonly id: number; readonly pass: ClaimPass } | null = null;

  constructor(host: BuilderHost) {
    this.#host = host;
    this.#actor = startBuilderMachine(this);
  }

  /** Called about twice a second. */
  tick(): void {
    this.#tell({ type: 'tick' });
  }

  /** The catalog has changed. */
  changed(): void {
    this.#tell({ type: 'changed' });
  }

  stop(): void {
    this.#stopped = true;
    this.#actor.stop();
  }

  // BuilderEffects.

  leadsMeta(): boolean {
    return this.#host.leadsMeta();
  }

  plan(observed: Observed): Work {
    return planWork(observed);
  }

  observe(): void {
    this.#observe().then(
      (observed) => this.#tell({ type: 'observed', observed }),
      () => this.#tell({ type: 'failed' }),
    );
  }

  work(work: Work): void {
    this.#work(work).then(
      () => this.#tell({ type: 'worked' }),
      () => this.#tell({ type: 'failed' }),
    );
  }

  #tell(event: Parameters<BuilderActor['send']>[0]): void {
    if (!this.#stopped) this.#actor.send(event);
  }

  async #observe(): Promise<Observed> {
    const { calls } = this.#host;
    const catalog = await readCatalog(calls, CALL_MS);
    // Without indexes, now or once, no group has anything to be asked about.
    if (catalog.epoch === 0) return { catalog, groups: [], isComplete: true };
    const ids = this.#host.groups();
    const answers = await Promise.allSettled(
      ids.map(async (group): Promise<ObservedGroup> => {
        const body = { type: 'IndexStatus' as const };
        return { group, status: await calls.call(group, body, 'Indexes', OPTIONS) };
      }),
    );
    const groups = answers.flatMap((answer) =>
      answer.status === 'fulfilled' ? [answer.value] : [],
    );
    return { catalog, groups, isComplete: groups.length === ids.length };
  }

  async #work({ catalog, tell, fill, live, claim }: Work): Promise<void> {
    const { calls, telemetry } = this.#host;
    const endMs = this.#host.clock.monotonicMs() + WORK_MS;
    const all: Promise<unknown>[] = [];
    for (const group of tell) all.push(tellGroup(calls, group, catalog, CALL_MS));
    all.push(atMost(FILLS_AT_ONCE, fill, ({ group, id }) => this.#fill(group, id, endMs)));
    await Promise.all(all);
    for (const info of claim) await this.#claim(info, endMs);
    for (const id of live) {
      await changeCatalog(calls, CALL_MS, (now) => withState(now, id, 'live'));
      telemetry.log('info', 'an index is live', { index: id });
    }
  }

  /** Claims entries of a unique index until the piece of work is done, or all of them are. */
  async #claim(info: IndexInfo, endMs: number): Promise<void> {
    const { calls, clock, telemetry } = this.#host;
    if (this.#claiming?.id !== info.id) {
      this.#claiming = { id: info.id, pass: new ClaimPass(this.#host, info) };
    }
    const { pass } = this.#claiming;
    while (!this.#stopped && this.leadsMeta() && !pass.isDone) {
      const startMs = clock.monotonicMs();
      if (startMs >= endMs) return;
      const failure = await pass.step();
      telemetry.count('index_steps', 1, { group: 0 });
      if (failure !== null) {
        await changeCatalog(calls, CALL_MS, (now) => withFailure(now, info.id, failure));
        telemetry.log('warn', 'a unique index has failed', { index: info.id });
        return;
      }
      await this.#pause(clock.monotonicMs() - startMs);
    }
    if (!pass.isDone) return;
    await changeCatalog(calls, CALL_MS, (now) => withState(now, info.id, 'live'));
    telemetry.log('info', 'an index is live', { index: info.id });
  }

  #pause(tookMs: number): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#host.clock.after(Math.min(PAUSE_MS_MAX, tookMs * PAUSE_SHARE), resolve);
    });
  }

  /** Step after step of one group's backfill, until it is done or the piece is. */
  async #fill(group: GroupId, id: number, endMs: number): Promise<void> {
    const { calls, clock, telemetry } = this.#host;
    while (!this.#stopped && this.leadsMeta()) {
      if (clock.monotonicMs() >= endMs) return;
      const { indexes } = await calls.call(group, { type: 'IndexStep', id }, 'Indexes', OPTIONS);
      telemetry.count('index_steps', 1, { group });
      const index = indexes.find((one) => one.id === id);
      if (index === undefined || index.isBuilt) return;
    }
  }
}

/** Runs all, `width` at a time. */
export async function atMost<T>(
  width: number,
  all: readonly T[],
  run: (one: T) => Promise<void>,
): Promise<void> {
  const waiting = all.values();
  const goOn = async (): Promise<void> => {
    for (const one of waiting) await run(one);
  };
  await Promise.all(Array.from({ length: width }, goOn));
}

const OPTIONS = {
  deadlineMs: CALL_MS,
  traceparent: null,
  target: 'leader',
  repeatable: true,
} as const;
