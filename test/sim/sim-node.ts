import type { Ports } from '../../actors/kit/ports.ts';
import type { Node } from '../../actors/node-port.ts';
import { NO_TELEMETRY, type Telemetry } from '../../observability/port.ts';
import type { NodeConfig } from '../../protocol/config.ts';
import type { ChangeEvent } from '../../protocol/messages/request.ts';
import { type Random, seededRandom } from '../../protocol/random.ts';
import type { GroupId, NodeId } from '../../protocol/types.ts';
import { type Ask, type Connection, NodeDown, NodeLost } from './cluster-port.ts';
import type { Machine } from './machine.ts';
import type { SimNetwork } from './network.ts';
import { type CpuQuota, Life, type Scheduler } from './scheduler.ts';
import { simClock, type WallClock } from './sim-clock.ts';
import type { SimTargets } from './targets.ts';
import type { Trace } from './trace.ts';
import { SimViolation } from './violation.ts';

export type StartNode = (config: NodeConfig, ports: Ports) => Promise<Node>;

/** Changes the ports of a node before it starts: how a seeded bug gets in. */
export type PortsFilter = (ports: Ports, node: SimNode) => Ports;

export interface SimNodeParts {
  readonly index: number;
  readonly seed: number;
  readonly config: NodeConfig;
  readonly scheduler: Scheduler;
  readonly network: SimNetwork;
  readonly trace: Trace;
  readonly machine: Machine;
  readonly wall: WallClock;
  readonly startNode: StartNode;
  readonly filterPorts: PortsFilter;
  readonly targets: SimTargets;
  readonly onChangePublished: (node: NodeId, group: GroupId, event: ChangeEvent) => void;
}

/** Starts that may fail one after another before the run is given up. */
const FAILED_STARTS_MAX = 30;
const SUPERVISOR_MS_MIN = 300;
const SUPERVISOR_MS_SPREAD = 1500;

/**
 * One simulated machine with its process: starts it, kills it, and starts it again as a
 * supervisor would when it exits by itself.
 */
export class SimNode {
  readonly index: number;
  readonly config: NodeConfig;
  readonly machine: Machine;
  readonly wall: WallClock;
  readonly #parts: SimNodeParts;
  readonly #random: Random;
  #life: Life | null = null;
  #node: Node | null = null;
  #lifeNumber = 0;
  #failedStarts = 0;
  #quota: CpuQuota | null = null;
  /** The nemesis keeps it down: the supervisor must not start it. */
  #heldDown = false;
  #pending = new Set<() => void>();

  constructor(parts: SimNodeParts) {
    this.#parts = parts;
    this.index = parts.index;
    this.config = parts.config;
    this.machine = parts.machine;
    this.wall = parts.wall;
    this.#random = seededRandom(parts.seed, `supervisor-${parts.index}`);
  }

  get id(): NodeConfig['nodeId'] {
    return this.config.nodeId;
  }

  /** The running life, or null when the process is down. */
  get life(): Life | null {
    return this.#life;
  }

  get lifeNumber(): number {
    return this.#lifeNumber;
  }

  /** The started node; null while it is down or still starting. */
  get node(): Node | null {
    return this.#node;
  }

  get isUp(): boolean {
    return this.#life !== null;
  }

  /** Starts the process, unless it runs. */
  start(): void {
    this.#heldDown = false;
    if (this.#life !== null) return;
    const { scheduler, network, trace, startNode, filterPorts, seed } = this.#parts;
    this.#lifeNumber++;
    const life = new Life(this.id, this.index);
    life.quota = this.#quota;
    this.#life = life;
    const stream = `node-${this.index}-${this.#lifeNumber}`;
    const clock = simClock(scheduler, life, this.wall, seededRandom(seed, `${stream}-timers`));
    const random = seededRandom(seed, stream);
    const fatal = (reason: string, error: unknown): void => this.#exit(life, reason, error);
    const storage = this.machine.open(life, clock, random, fatal);
    const bus = network.bus(this.id, life);
    const publishChange: Ports['publishChange'] = (event, group) => {
      if (life.alive) this.#parts.onChangePublished(this.id, group, event);
    };
    const telemetry = this.#telemetry(life);
    const { targets } = this.#parts;
    const notifications = {
      deliver: targets.deliverer(life, seededRandom(seed, `${stream}-targets`)),
    };
    const ports: Ports = {
      ...{ clock, random, bus, storage, telemetry, publishChange, fatal, notifications },
    };
    trace.note(this.id, `starts (life ${this.#lifeNumber})`);
    scheduler.after(1, life, () => {
      startNode(this.config, filterPorts(ports, this)).then(
        (node) => {
          if (!life.alive) return;
          this.#node = node;
          this.#failedStarts = 0;
          trace.note(this.id, `is up as ${node.replicaId}`);
        },
        (error: unknown) => this.#failedToStart(life, error),
      );
    });
  }

  /** Ends the process; `power` takes the machine's unsynced writes with it. Stays down until start. */
  kill(kind: 'process' | 'power', why: string): void {
    this.#heldDown = true;
    if (kind === 'power' && this.#life === null) this.machine.powerCut();
    if (this.#life === null) return;
    this.#parts.trace.note(this.id, `${kind === 'power' ? 'loses power' : 'is killed'}: ${why}`);
    this.#end(this.#life, kind);
  }

  /** F28: this machine has little of a processor, whatever process it runs; null ends that. */
  throttle(quota: CpuQuota | null): void {
    this.#quota = quota;
    if (this.#life !== null) this.#life.quota = quota;
  }

  pause(): void {
    if (this.#life === null) return;
    this.#parts.trace.note(this.id, 'is paused');
    this.#parts.scheduler.pause(this.#life);
  }

  resume(): void {
    if (this.#life?.paused !== true) return;
    this.#parts.trace.note(this.id, 'goes on');
    this.#parts.scheduler.resume(this.#life);
  }

  /** A client's connection to the running process. */
  connect(): Connection {
    const life = this.#life;
    if (life === null || this.#node === null) throw new NodeDown(`${this.id} is down`);
    const node = this.#node;
    return {
      get isOpen() {
        return life.alive;
      },
      call: (giveUpMs, request) => this.#call(life, node, giveUpMs, request),
    };
  }

  #call<T>(life: Life, node: Node, giveUpMs: number, request: Ask<T>): Promise<T> {
    const { scheduler } = this.#parts;
    return new Promise((resolve, reject) => {
      if (!life.alive) {
        reject(new NodeLost(`${this.id} is gone`));
        return;
      }
      const lost = (): void => {
        settle(() => reject(new NodeLost(`no answer from ${this.id}`)));
      };
      const cancel = scheduler.after(giveUpMs, null, lost);
      const settle = (end: () => void): void => {
        if (!this.#pending.delete(lost)) return;
        cancel();
        end();
      };
      this.#pending.add(lost);
      scheduler.after(0.1, life, () => {
        request(node.service, node.objects, node.quotas).then(
          (value) => life.alive && settle(() => resolve(value)),
          (error: unknown) => life.alive && settle(() => reject(error)),
        );
      });
    });
  }

  /** Nothing is measured; what the node warns of is part of the trace. */
  #telemetry(life: Life): Telemetry {
    return {
      ...NO_TELEMETRY,
      log: (level, message, fields) => {
        if (!life.alive || level === 'debug' || level === 'info') return;
        this.#parts.trace.note(this.id, `${level}: ${message} ${JSON.stringify(fields ?? {})}`);
      },
    };
  }

  #failedToStart(life: Life, error: unknown): void {
    if (!life.alive) return;
    this.#failedStarts++;
    if (this.#failedStarts > FAILED_STARTS_MAX) {
      throw new SimViolation('a node starts again', `${this.id} did not: ${String(error)}`);
    }
    this.#exit(life, 'it could not start', error);
  }

  /** The process exits by itself; its supervisor starts it again after a while. */
  #exit(life: Life, reason: string, error: unknown): void {
    if (!life.alive) return;
    const { scheduler, trace } = this.#parts;
    trace.note(this.id, `exits: ${reason}: ${String(error)}`);
    this.#end(life, 'process');
    const delayMs = SUPERVISOR_MS_MIN + this.#random.next() * SUPERVISOR_MS_SPREAD;
    scheduler.after(delayMs, null, () => {
      if (!this.#heldDown) this.start();
    });
  }

  #end(life: Life, kind: 'process' | 'power'): void {
    this.#parts.scheduler.kill(life);
    if (this.#life === life) {
      this.#life = null;
      this.#node = null;
    }
    if (kind === 'power') this.machine.powerCut();
    else this.machine.processDied();
    // Clients notice a moment later that their connections are gone.
    const pending = [...this.#pending];
    this.#parts.scheduler.after(0.5, null, () => {
      for (const lost of pending) lost();
    });
  }
}
