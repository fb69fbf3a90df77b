import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIFECYCLE } from '../../protocol/lifecycle.ts';
import type { Bucket } from '../../protocol/object-access.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { GroupView } from '../apply/group-state.ts';
import { LedWorkers } from '../kit/led-workers.ts';
import type { RoutedObjects } from '../router/objects.ts';
import { type LifecycleActor, type LifecycleEvent, startLifecycleMachine } from './machine.ts';
import { LifecyclePass } from './pass.ts';

/** Between the end of a pass and the next one: a part of a day. */
const PASSES_PER_DAY = 24;
const REST_MS_MIN = 1_000;
const LOOK_MS = 5_000;

/** A group that is kept here. */
export interface LifecycleGroup {
  readonly group: GroupId;
  /** Whether it is led here, by a leader whose clock is trusted. */
  isLed(): boolean;
  view(): GroupView;
}

export interface LifecycleHost {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly objects: Pick<RoutedObjects, 'apply' | 'buckets'>;
  /** How long a day is. */
  readonly dayMs: number;
  /** All groups with keys that have a replica here. */
  groups(): readonly LifecycleGroup[];
}

/** Carries out the lifecycle rules of buckets: on each node, for the groups that are led there. */
export class LifecycleKeeper {
  readonly #workers: LedWorkers<LifecycleGroup, GroupWorker>;

  constructor(host: LifecycleHost) {
    this.#workers = new LedWorkers(
      () => host.groups(),
      (group) => new GroupWorker(host, group),
    );
  }

  /** Called some times a second: the pace of the steps. */
  tick(): void {
    this.#workers.tick();
  }

  stop(): void {
    this.#workers.stop();
  }
}

/** One group: its machine, and the pass that is under way. */
class GroupWorker {
  readonly #host: LifecycleHost;
  readonly #actor: LifecycleActor;
  /** A replica that was taken away and came back is another one. */
  #group: LifecycleGroup;
  #pass: LifecyclePass | null = null;
  #dueMs = 0;
  #stopped = false;

  constructor(host: LifecycleHost, group: LifecycleGroup) {
    this.#host = host;
    this.#group = group;
    this.#actor = startLifecycleMachine({
      isDue: () => this.#group.isLed() && host.clock.monotonicMs() >= this.#dueMs,
      look: () => this.#answer(this.#look()),
      step: () => this.#answer(this.#step()),
    });
  }

  tick(group: LifecycleGroup): void {
    this.#group = group;
    this.#actor.send({ type: 'tick' });
  }

  stop(): void {
    this.#stopped = true;
    this.#actor.stop();
  }

  #answer(work: Promise<LifecycleEvent>): void {
    work
      .catch((error: unknown) => this.#failed(error))
      .then((event) => {
        if (!this.#stopped) this.#actor.send(event);
      });
  }

  /** What could not be read or asked now comes again with the next pass: also where the replica is being taken away. */
  #failed(error: unknown): LifecycleEvent {
    if (!(error instanceof Error)) throw error;
    const { telemetry } = this.#host;
    const isRefusal = error instanceof AppError;
    telemetry.count('lifecycle_kept', 1, { reason: isRefusal ? error.code : 'failed' });
    const { group } = this.#group;
    if (!isRefusal && !this.#stopped) {
      telemetry.log('warn', 'a pass of lifecycle rules ended', { group, error: error.message });
    }
    return this.#rest();
  }

  async #look(): Promise<LifecycleEvent> {
    const { objects, telemetry } = this.#host;
    const buckets = await objects.buckets.withDocument(LIFECYCLE, LOOK_MS);
    if (buckets.length === 0) return this.#rest();
    this.#pass = this.#passOver(buckets);
    telemetry.count('lifecycle_passes', 1, { group: this.#group.group });
    return { type: 'found' };
  }

  #passOver(buckets: readonly Bucket[]): LifecyclePass {
    const { objects, telemetry, clock, dayMs } = this.#host;
    return new LifecyclePass(
      {
        ...{ objects, telemetry },
        view: () => this.#group.view(),
        time: () => ({ nowMs: clock.wallMs(), dayMs }),
      },
      buckets,
    );
  }

  async #step(): Promise<LifecycleEvent> {
    const mayGoOn = !this.#stopped && this.#group.isLed();
    if (mayGoOn && (await this.#pass?.step())) return { type: 'more' };
    return this.#rest();
  }

  #rest(): LifecycleEvent {
    const { clock, dayMs } = this.#host;
    this.#pass = null;
    this.#dueMs = clock.monotonicMs() + Math.max(REST_MS_MIN, dayMs / PASSES_PER_DAY);
    return { type: 'ended' };
  }
}
