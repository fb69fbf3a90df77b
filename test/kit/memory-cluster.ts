import type { Bus, Ports } from '../../actors/kit/ports.ts';
import { startNode } from '../../actors/node.ts';
import type { Node } from '../../actors/node-port.ts';
import { InProcessHub } from '../../gateways/peer/in-process-bus.ts';
import { NO_TELEMETRY } from '../../observability/port.ts';
import type { NodeConfig } from '../../protocol/config.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent } from '../../protocol/messages/request.ts';
import { seededRandom } from '../../protocol/random.ts';
import type { NodeId } from '../../protocol/types.ts';
import { MemoryDisk } from '../../storage/disk/memory-disk.ts';
import { MemoryEngine } from '../../storage/kv/memory-engine.ts';
import { ValueCompression } from '../../storage/kv/value-compression.ts';
import { openStorage } from '../../storage/open.ts';
import type { EngineWrite } from '../../storage/ports.ts';
import { nodeConfig } from './fake-ports.ts';
import { VirtualTime } from './virtual-time.ts';

interface Machine {
  readonly name: NodeId;
  disk: MemoryDisk;
  engine: StallingEngine | null;
  node: Node | null;
  end: () => void;
  isCut: boolean;
  /** The largest payload that its bus takes. */
  payloadBytesMax: number;
}

/** Takes no writes for a while, as an engine whose compactions fall behind. */
class StallingEngine extends MemoryEngine {
  #gate: Promise<void> = Promise.resolve();

  /** Returns how to let it go on. */
  stall(): () => void {
    let open = (): void => {};
    this.#gate = new Promise((resolved) => {
      open = resolved;
    });
    return open;
  }

  override async write(batch: readonly EngineWrite[]): Promise<void> {
    await this.#gate;
    return super.write(batch);
  }
}

/** Real nodes over storage in memory and a bus in this process, in virtual time. */
export class MemoryCluster {
  readonly time = new VirtualTime(7);
  readonly published: ChangeEvent[] = [];
  readonly fatals: string[] = [];
  readonly #hub: InProcessHub;
  readonly #machines = new Map<NodeId, Machine>();
  readonly #config: Partial<NodeConfig>;
  #starts = 0;

  constructor(names: string, config: Partial<NodeConfig> = {}) {
    const { clock } = this.time.process();
    this.#hub = new InProcessHub({ clock, telemetry: NO_TELEMETRY });
    const members = names.split(' ') as NodeId[];
    this.#config = { initialMembers: members, ...config };
    for (const name of members) {
      const rest = { ...UNSTARTED };
      this.#machines.set(name, { name, disk: new MemoryDisk(clock), ...rest });
    }
  }

  /** Starts every node and waits until all of them are ready. */
  async start(): Promise<void> {
    const starting = [...this.#machines.keys()].map((name) => this.startNode(name));
    await this.time.until(Promise.all(starting));
    await this.ready();
  }

  /** Starts an empty node that joins. */
  async joinNode(name: string): Promise<void> {
    const { clock } = this.time.process();
    const rest = { ...UNSTARTED };
    this.#machines.set(name as NodeId, {
      name: name as NodeId,
      disk: new MemoryDisk(clock),
      ...rest,
    });
    await this.startNode(name, { join: true });
  }

  /** Starts one node over what its storage holds. */
  async startNode(name: string, more: Partial<NodeConfig> = {}): Promise<void> {
    const machine = this.#machine(name);
    const { clock, end } = this.time.process();
    machine.end = end;
    const random = seededRandom(++this.#starts, name);
    const fatal = (reason: string): void => void this.fatals.push(`${name}: ${reason}`);
    const storage = openStorage({
      ...{ disk: machine.disk, clock, random, prepareAhead: false, onFatal: fatal },
      ...{ keys: null, rotation: null, compression: new ValueCompression([]) },
      openEngine: async () => {
        machine.engine = new StallingEngine(clock, machine.engine?.rows());
        return machine.engine;
      },
      setEngineAside: async () => {
        machine.engine = null;
      },
    });
    const ports: Ports = {
      ...{ clock, random, storage, fatal, telemetry: NO_TELEMETRY },
      bus: weakened(this.#hub.bus(), machine),
      publishChange: (event) => this.published.push(event),
      notifications: { deliver: async () => {} },
    };
    const config = nodeConfig({ ...this.#config, ...more, nodeId: machine.name });
    machine.node = await startNode(config, ports);
  }

  node(name: string): Node {
    const { node } = this.#machine(name);
    if (node === null) throw new Error(`${name} does not run`);
    return node;
  }

  /** The bus as whoever else is on it has it. */
  strangersBus(): Bus {
    return this.#hub.bus();
  }

  /** What a node has on its disk. */
  disk(name: string): MemoryDisk {
    return this.#machine(name).disk;
  }

  async stopNode(name: string): Promise<void> {
    await this.time.until(this.node(name).stop());
    this.#machine(name).end();
  }

  /** The node's engine takes no more writes; returns how to let it go on. */
  stallEngine(name: string): () => void {
    const { engine } = this.#machine(name);
    if (engine === null) throw new Error(`${name} has no engine`);
    return engine.stall();
  }

  /** The process ends without a word; its storage stays. */
  kill(name: string): void {
    this.#machine(name).end();
    this.#machine(name).node = null;
  }

  /** A stopped node's storage is gone. */
  wipe(name: string): void {
    const machine = this.#machine(name);
    machine.disk = new MemoryDisk(this.time.process().clock);
    machine.engine = null;
  }

  /** Nothing reaches the node and nothing leaves it. */
  cut(name: string, isCut: boolean): void {
    this.#machine(name).isCut = isCut;
  }

  /** No bus takes a larger payload from now on. */
  narrow(payloadBytesMax: number): void {
    for (const machine of this.#machines.values()) machine.payloadBytesMax = payloadBytesMax;
  }

  /** Waits until every running node that is not cut off knows all leaders. */
  async ready(): Promise<void> {
    for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 50) {
      const running = [...this.#machines.values()].filter(({ isCut }) => !isCut);
      if (running.every(({ node }) => node === null || node.service.status().ready)) return;
      await this.time.pass(50);
    }
    throw new Error('the cluster does not become ready');
  }

  #machine(name: string): Machine {
    const machine = this.#machines.get(name as NodeId);
    if (machine === undefined) throw new Error(`there is no ${name}`);
    return machine;
  }
}

const UNSTARTED = {
  ...{ engine: null, node: null, end: () => {}, isCut: false },
  payloadBytesMax: LIMITS.busPayloadBytesMax,
};

function weakened(bus: Bus, machine: Machine): Bus {
  const isCut = (): boolean => machine.isCut;
  return {
    get payloadBytesMax() {
      return Math.min(machine.payloadBytesMax, bus.payloadBytesMax);
    },
    state: () => bus.state(),
    send: (to, lane, payload) => isCut() || bus.send(to, lane, payload),
    broadcast: (payload) => isCut() || bus.broadcast(payload),
    listen: (nodeId, handle, absent) =>
      bus.listen(
        nodeId,
        (lane, payload) => {
          if (!isCut()) handle(lane, payload);
        },
        absent,
      ),
    publishesEvents: () => bus.publishesEvents(),
    publishEvent: (subject, headers, payload) => bus.publishEvent(subject, headers, payload),
    drain: () => bus.drain(),
  };
}
