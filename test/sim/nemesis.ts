import type { Random } from '../../protocol/random.ts';
import { FAULTS, type Fault } from './faults.ts';
import type { FaultKind, SwarmConfig } from './swarm.ts';
import type { World } from './world.ts';

/** A fault in progress. */
interface Ongoing {
  readonly kind: FaultKind;
  readonly heal: () => void;
  readonly cancel: () => void;
}

/** Draws faults, begins them, and ends each one after its time. */
export class Nemesis {
  readonly #world: World;
  readonly #random: Random;
  readonly #config: SwarmConfig;
  readonly #ongoing = new Set<Ongoing>();
  readonly counts = new Map<FaultKind, number>();
  #stopped = false;

  constructor(world: World, config: SwarmConfig, random: Random) {
    this.#world = world;
    this.#config = config;
    this.#random = random;
  }

  /** Works until `stop`. */
  async run(): Promise<void> {
    if (this.#config.faults.size === 0) return;
    while (!this.#stopped) {
      const gapMs = -Math.log(1 - this.#random.next()) * this.#config.faultGapMsMean;
      await this.#world.sleep(50 + gapMs);
      if (this.#stopped) return;
      this.begin(this.#pick());
    }
  }

  /** Begins a fault; it may find that it cannot do anything now. */
  begin(kind: FaultKind): void {
    const fault: Fault = FAULTS[kind];
    const heal = fault.begin(this.#world, this.#random);
    if (heal === null) return;
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    const [minMs, maxMs] = fault.durationMs;
    const durationMs = minMs + this.#random.next() * (maxMs - minMs);
    const cancel = this.#world.scheduler.after(durationMs, null, () => {
      this.#ongoing.delete(ongoing);
      heal();
    });
    const ongoing: Ongoing = { kind, heal, cancel };
    this.#ongoing.add(ongoing);
  }

  /** No more faults; those in progress end now. */
  stop(): void {
    this.#stopped = true;
    for (const ongoing of this.#ongoing) {
      ongoing.cancel();
      ongoing.heal();
    }
    this.#ongoing.clear();
  }

  #pick(): FaultKind {
    let total = 0;
    for (const weight of this.#config.faults.values()) total += weight;
    let at = this.#random.next() * total;
    let last: FaultKind = 'killAny';
    for (const [kind, weight] of this.#config.faults) {
      last = kind;
      at -= weight;
      if (at < 0) break;
    }
    return last;
  }
}
