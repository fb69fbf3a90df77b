import { loadMicrotaskDrain } from './microtasks.ts';

/** A callback at a virtual instant. `owner` null: the world's own (network, nemesis, clients). */
interface SimEvent {
  atUs: number;
  readonly sequence: number;
  readonly owner: Life | null;
  run: (() => void) | null;
}

export interface CpuQuota {
  readonly periodMs: number;
  readonly runMs: number;
}

/**
 * One life of one simulated process. Every callback that a node asks for belongs to its life: when
 * the life has ended they are dropped, while it is paused (SIGSTOP) they are kept and run, in
 * order, when it goes on.
 */
export class Life {
  readonly name: string;
  readonly ordinal: number;
  alive = true;
  paused = false;
  /** It runs only in the first `runMs` of each `periodMs`, as under a CPU quota; null: always. */
  quota: CpuQuota | null = null;
  readonly held: SimEvent[] = [];

  constructor(name: string, ordinal: number) {
    this.name = name;
    this.ordinal = ordinal;
  }
}

/** Events between two turns of the real event loop, where unhandled rejections surface. */
const SLICE_EVENTS = 4096;

const drainMicrotasks = loadMicrotaskDrain();

/**
 * Virtual time: a heap of events, ties in the order they were asked for. After each event all
 * microtasks run, so a step is complete before the next begins and nothing depends on real time.
 */
export class Scheduler {
  #heap: SimEvent[] = [];
  #nowUs = 0;
  #sequence = 0;
  #stopped = false;
  /** The life that the current event has passed into. */
  #ranIn: Life | null = null;
  /** Events run so far. */
  eventCount = 0;
  /** Called after each event, with the life it ran in. */
  afterEvent: (owner: Life | null) => void = () => {};
  /** A throw out of an event: in a real process an uncaught exception. */
  onThrow: (error: unknown, owner: Life | null) => void = (error) => {
    throw error;
  };

  nowMs(): number {
    return this.#nowUs / 1000;
  }

  /** Runs `run` after `delayMs` of virtual time, unless cancelled or its owner died. */
  after(delayMs: number, owner: Life | null, run: () => void): () => void {
    const delayUs = Math.max(0, Math.round(delayMs * 1000));
    const event: SimEvent = {
      atUs: this.#nowUs + delayUs,
      sequence: this.#sequence++,
      owner,
      run,
    };
    this.#push(event);
    return () => {
      event.run = null;
    };
  }

  /** From within an event of the world's own: the rest of it happens in a life, or waits while that is paused. */
  runIn(life: Life, run: () => void): void {
    if (!life.alive) return;
    if (life.paused) {
      life.held.push({ atUs: this.#nowUs, sequence: this.#sequence++, owner: life, run });
      return;
    }
    const waitUs = this.#throttledUs(life);
    if (waitUs > 0) {
      this.#push({ atUs: this.#nowUs + waitUs, sequence: this.#sequence++, owner: life, run });
      return;
    }
    this.#ranIn = life;
    run();
  }

  /** How long a life has to wait for the processor. */
  #throttledUs({ quota }: Life): number {
    if (quota === null) return 0;
    const periodUs = Math.round(quota.periodMs * 1000);
    const phaseUs = this.#nowUs % periodUs;
    return phaseUs < quota.runMs * 1000 ? 0 : periodUs - phaseUs;
  }

  /** A promise of the virtual instant `delayMs` from now, for the world's own loops. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, null, resolve));
  }

  /** Ends a life: none of its callbacks runs again. */
  kill(life: Life): void {
    life.alive = false;
    life.paused = false;
    life.held.length = 0;
  }

  pause(life: Life): void {
    if (life.alive) life.paused = true;
  }

  /** Everything that fell due during the pause runs now, in its order. */
  resume(life: Life): void {
    life.paused = false;
    for (const event of life.held.splice(0)) {
      this.#push({ atUs: this.#nowUs, sequence: this.#sequence++, owner: life, run: event.run });
    }
  }

  /** Stops `run` after the current event. */
  stop(): void {
    this.#stopped = true;
  }

  /** Runs all events up to `untilMs`; resolves there, or as soon as `stop` was called. */
  run(untilMs: number): Promise<void> {
    const untilUs = Math.round(untilMs * 1000);
    return new Promise((resolve, reject) => {
      const slice = (): void => {
        try {
          if (this.#runSlice(untilUs)) resolve();
          else setImmediate(slice);
        } catch (error) {
          reject(error);
        }
      };
      setImmediate(slice);
    });
  }

  /** True when the end was reached. */
  #runSlice(untilUs: number): boolean {
    drainMicrotasks();
    for (let i = 0; i < SLICE_EVENTS; i++) {
      if (this.#stopped) return true;
      const next = this.#heap[0];
      if (next === undefined || next.atUs > untilUs) {
        this.#nowUs = Math.max(this.#nowUs, untilUs);
        return true;
      }
      this.#pop();
      this.#nowUs = next.atUs;
      this.#runEvent(next);
    }
    return false;
  }

  #runEvent(event: SimEvent): void {
    const { run, owner } = event;
    if (run === null) return;
    if (owner !== null) {
      if (!owner.alive) return;
      if (owner.paused) {
        owner.held.push(event);
        return;
      }
      const waitUs = this.#throttledUs(owner);
      if (waitUs > 0) {
        // With its old number, so that what is late stays in its order.
        event.atUs = this.#nowUs + waitUs;
        this.#push(event);
        return;
      }
    }
    this.eventCount++;
    event.run = null;
    this.#ranIn = owner;
    try {
      run();
    } catch (error) {
      this.onThrow(error, this.#ranIn);
    }
    drainMicrotasks();
    this.afterEvent(this.#ranIn);
  }

  #push(event: SimEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent]!;
      if (!isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.sequence < b.sequence);
}
