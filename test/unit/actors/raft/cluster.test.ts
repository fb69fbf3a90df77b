import { expect, test } from 'vitest';
import { hasQuorum } from '../../../../actors/raft/quorum.ts';
import type { RaftState } from '../../../../actors/raft/state.ts';
import { bytesEqual } from '../../../../protocol/bytes.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { GroupConfig } from '../../../../protocol/membership.ts';
import { type Random, randomInt, seededRandom } from '../../../../protocol/random.ts';
import type { ReplicaId } from '../../../../protocol/types.ts';
import { Cluster, type CrashPoint, type Packet, type Replica } from '../../../kit/raft-cluster.ts';
import { config, id } from '../../../kit/raft-given.ts';

/**
 * Random clusters of cores alone. Each seed draws its own faults; then all faults stop and the group
 * must converge. Replay one with RAFT_SEED=n.
 */

interface Faults {
  readonly loss: number;
  readonly duplicate: number;
  readonly delayMsMax: number;
  readonly crash: number;
  readonly partition: number;
  readonly oneWay: boolean;
  readonly members: number;
  readonly transfer: number;
  readonly compact: number;
  readonly late: number;
  readonly aim: number;
}

const STEP_MS = 10;

class World {
  readonly random: Random;
  readonly cluster: Cluster;
  readonly faults: Faults;
  readonly due: { atMs: number; packet: Packet }[] = [];
  readonly cut = new Set<string>();
  /** Checked facts: who led a term, what was committed, what was applied. */
  readonly leaders = new Map<number, ReplicaId>();
  readonly committed = new Map<number, number>();
  readonly applied = new Map<number, string>();
  readonly reads = new Map<number, number>();
  highestCommit = 0;
  nextId = 1;
  names = 5;
  calm = false;

  constructor(seed: number) {
    this.random = seededRandom(seed, 'cluster');
    this.cluster = new Cluster(() => randomInt(this.random, 0, 2 ** 32 - 1));
    const some = (chance: number, max: number): number =>
      this.random.next() < chance ? this.random.next() * max : 0;
    this.faults = {
      loss: some(0.6, 0.5),
      duplicate: some(0.5, 0.3),
      delayMsMax: 1 + some(0.7, 120),
      crash: some(0.6, 0.08),
      partition: some(0.6, 0.06),
      oneWay: this.random.next() < 0.3,
      members: some(0.6, 0.2),
      transfer: some(0.4, 0.06),
      compact: some(0.5, 0.1),
      late: some(0.3, 0.05),
      aim: some(0.7, 0.4),
    };
    this.cluster.hooks = {
      onApplied: (replica, entry) => this.#checkApplied(replica, entry.index),
      onEvents: (replica) => this.#checkEvents(replica),
      crashIn: (replica) => this.#aimedCrash(replica),
      onRequest: (_, request) => {
        if (request.type !== 'readConfirmed') return;
        const least = this.reads.get(request.readId) ?? 0;
        if (request.readIndex < least) {
          throw new Error(`a read at ${request.readIndex} missed ${least}`);
        }
      },
    };
    const founders = config(['a', 'a b', 'a b c', 'a b c', 'a b c d e'][seed % 5]!, null, '');
    for (const self of founders.voters) this.cluster.add(self, founders);
  }

  pick<T>(items: readonly T[]): T {
    return items[randomInt(this.random, 0, items.length - 1)]!;
  }

  chance(probability: number): boolean {
    return !this.calm && this.random.next() < probability;
  }

  step(): void {
    const { cluster } = this;
    cluster.nowMs += STEP_MS;
    this.#route();
    this.#deliverDue();
    for (const replica of cluster.replicas.values()) {
      if (!replica.up) {
        if (this.calm || this.chance(0.03)) replica.start();
        continue;
      }
      if (cluster.nowMs % LIMITS.tickMs === 0) replica.turn([{ type: 'Tick' }], this.#crashPoint());
      for (let i = 0; i < 4 && replica.up && replica.inbox.length > 0; i++) replica.turn([]);
      if (this.chance(this.faults.compact)) this.#compact(replica);
    }
    this.#work();
    this.#nemesis();
    this.#route();
  }

  #compact(replica: Replica): void {
    if (!replica.up || replica.state.receiving?.step === 'installing') return;
    replica.flush();
    replica.turn([]);
    replica.compact(randomInt(this.random, 0, 4));
  }

  #crashPoint(): CrashPoint {
    if (!this.chance(this.faults.crash / 10)) return 'none';
    return this.random.next() < 0.5 ? 'beforeSync' : 'afterSync';
  }

  /** Crashes find most where something rare has just become durable, or has not. */
  #aimedCrash(replica: Replica): CrashPoint {
    if (this.faults.aim === 0) return 'none';
    const rare = replica.out.durable.some(
      (event) =>
        event.type !== 'EntriesAppended' || event.entries.some(({ kind }) => kind !== 'command'),
    );
    if (!rare || !this.chance(this.faults.aim)) return 'none';
    if (this.random.next() < 0.5) this.#partition();
    return this.pick(['beforeSync', 'afterSync', 'none'] as const);
  }

  #route(): void {
    const sent = this.cluster.network;
    this.cluster.network = [];
    for (const packet of sent) {
      if (this.cut.has(`${packet.from}>${packet.to}`)) continue;
      if (this.chance(this.faults.loss)) continue;
      const copies = this.chance(this.faults.duplicate) ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) {
        const max = this.calm ? 5 : this.faults.delayMsMax;
        const late = this.chance(this.faults.late) ? 1500 : 0;
        const atMs = this.cluster.nowMs + late + this.random.next() * max;
        this.due.push({ atMs, packet });
      }
    }
  }

  #deliverDue(): void {
    const now: Packet[] = [];
    for (let i = this.due.length - 1; i >= 0; i--) {
      if (this.due[i]!.atMs > this.cluster.nowMs) continue;
      now.push(this.due[i]!.packet);
      this.due[i] = this.due[this.due.length - 1]!;
      this.due.pop();
    }
    for (const packet of now) this.cluster.deliver(packet, this.#crashPoint());
  }

  #work(): void {
    const up = [...this.cluster.replicas.values()].filter(({ up }) => up);
    if (up.length === 0) return;
    // Many of them may have left the group by now; in the end somebody must ask its leader.
    const replica = (this.calm ? this.cluster.leader() : null) ?? this.pick(up);
    if (this.random.next() < 0.3) {
      const readId = this.nextId++;
      this.reads.set(readId, this.highestCommit);
      replica.turn([{ type: 'ReadIndex', readId }], this.#crashPoint());
    }
    if (replica.up && this.random.next() < 0.5) {
      const payload = Buffer.from(`${this.nextId}`);
      const proposal = { proposalId: this.nextId++, kind: 'command' as const, payload };
      const clockBound = this.cluster.nowMs;
      const proposals = [{ ...proposal, clockBound }];
      replica.turn([{ type: 'Propose', proposals }], this.#crashPoint());
    }
  }

  #nemesis(): void {
    const { cluster, faults } = this;
    if (this.chance(faults.crash)) {
      const replica = this.pick([...cluster.replicas.values()]);
      if (replica.up) replica.crash(randomInt(this.random, 0, replica.unsynced.length));
    }
    if (this.chance(faults.partition)) this.#partition();
    if (this.chance(faults.partition)) this.cut.clear();
    const leader = cluster.leader();
    if (leader === null) return;
    if (this.chance(faults.members)) this.changeMembers(leader);
    if (this.chance(faults.transfer)) leader.turn([{ type: 'TransferLeader', to: null }]);
  }

  #partition(): void {
    const all = [...this.cluster.replicas.keys()];
    const side = new Set(all.filter(() => this.random.next() < 0.5));
    for (const a of all) {
      for (const b of all) {
        if (side.has(a) === side.has(b)) continue;
        if (this.faults.oneWay && side.has(b)) continue;
        this.cut.add(`${a}>${b}`);
      }
    }
  }

  changeMembers(leader: Replica): void {
    const { voters, learners } = leader.state.log.config;
    const draw = this.random.next();
    if (draw < 0.4 && voters.length + learners.length < 6) {
      const joiner = id(`${'abcdefghijklmnopqrstuvwxyz'[this.names++ % 26]}:${this.names}0000000`);
      this.cluster.add(joiner, null);
      leader.turn([{ type: 'ChangeMembers', voters, learners: learners.concat(joiner) }]);
    } else if (draw < 0.8 && learners.length > 0) {
      const promoted = this.pick(learners);
      const next = voters.concat(promoted);
      if (this.random.next() < 0.5 && voters.length > 1) next.shift();
      const rest = learners.filter((each) => each !== promoted);
      leader.turn([{ type: 'ChangeMembers', voters: next, learners: rest }]);
    } else if (voters.length > 1) {
      const removed = this.pick(voters);
      const next = voters.filter((each) => each !== removed);
      leader.turn([{ type: 'ChangeMembers', voters: next, learners }]);
    }
  }

  /** Figure 3, after every turn of every replica. */
  #checkEvents(replica: Replica): void {
    const { state } = replica;
    const { events } = replica.out;
    for (let at = 0; at < events.length; at++) {
      const event = events[at]!;
      if (event.type === 'CommitAdvanced') {
        const next = events.slice(at).find(({ type }) => type === 'EntriesAppended');
        const lastIndex =
          next?.type === 'EntriesAppended' ? next.prevLogIndex : state.log.lastIndex;
        this.#checkCommit(replica, event.commitIndex, state.log.pointAt(lastIndex).config);
      }
      if (event.type !== 'LeadershipTaken') continue;
      const other = this.leaders.get(state.currentTerm);
      expect(other ?? replica.self, 'Election Safety (figure 3)').toBe(replica.self);
      this.leaders.set(state.currentTerm, replica.self);
      for (const [index, term] of this.committed) {
        if (index < state.log.baseIndex) continue;
        if (state.log.termAt(index) !== term) throw new Error('Leader Completeness (figure 3)');
      }
    }
  }

  #checkCommit(replica: Replica, commitIndex: number, inForce: GroupConfig): void {
    const { state } = replica;
    const { log } = state;
    for (let index = commitIndex; index > log.baseIndex; index--) {
      const term = log.termAt(index)!;
      const known = this.committed.get(index);
      if (known === term) break;
      if (known !== undefined) throw new Error(`entry ${index} was committed in two terms`);
      this.committed.set(index, term);
    }
    if (state.role === 'leader') {
      const term = log.termAt(commitIndex);
      const stored = (each: ReplicaId): boolean => {
        const shadow = this.cluster.replicas.get(each)?.shadow.log;
        if (shadow === undefined) return false;
        return shadow.baseIndex >= commitIndex || shadow.termAt(commitIndex) === term;
      };
      if (!hasQuorum(inForce, stored)) throw new Error('committed before a quorum had synced it');
    }
    this.highestCommit = Math.max(this.highestCommit, commitIndex);
  }

  #checkApplied(replica: Replica, index: number): void {
    const what = replica.engine.applied[replica.engine.applied.length - 1]!;
    const known = this.applied.get(index);
    if (known === undefined) this.applied.set(index, what);
    else if (known !== what) throw new Error(`State Machine Safety (figure 3) at ${index}`);
  }

  /** Log Matching (figure 3), over every pair of logs. */
  checkLogMatching(): void {
    const states = [...this.cluster.replicas.values()].map(({ state }) => state);
    for (const a of states) for (const b of states) if (a !== b) matchLogs(a, b);
  }

  checkReplayLaw(): void {
    for (const replica of this.cluster.replicas.values()) {
      if (!replica.up) continue;
      expect(durableOf(replica.shadow)).toEqual(durableOf(replica.state));
    }
  }
}

function matchLogs(a: RaftState, b: RaftState): void {
  const first = Math.max(a.log.baseIndex, b.log.baseIndex) + 1;
  let index = Math.min(a.log.lastIndex, b.log.lastIndex);
  while (index >= first && a.log.termAt(index) !== b.log.termAt(index)) index--;
  for (; index >= first; index--) {
    const same = bytesEqual(a.log.entryAt(index)!.bytes, b.log.entryAt(index)!.bytes);
    if (!same) throw new Error(`Log Matching (figure 3) at ${index}`);
  }
}

function durableOf(state: RaftState): unknown {
  const { log } = state;
  const terms: unknown[] = [];
  for (let index = log.baseIndex; index <= log.lastIndex; index++) terms.push(log.termAt(index));
  const { currentTerm, votedFor } = state;
  return { currentTerm, votedFor, terms, config: log.config, clockBound: log.clockBound };
}

function run(seed: number): World {
  const world = new World(seed);
  for (let step = 0; step < 500; step++) {
    world.step();
    if (step % 10 === 0) world.checkLogMatching();
  }
  world.calm = true;
  world.cut.clear();
  const before = world.highestCommit;
  for (let step = 0; step < 400; step++) world.step();
  world.checkLogMatching();
  world.checkReplayLaw();
  converged(world, before);
  return world;
}

function converged(world: World, before: number): void {
  const leader = world.cluster.leader();
  expect(leader, 'somebody leads after the faults').not.toBeNull();
  expect(world.highestCommit, 'it commits').toBeGreaterThan(before);
  const { config: members, configIndex } = leader!.state.log;
  expect(members.votersOld, 'no joint configuration is left').toBeNull();
  expect(configIndex).toBeLessThanOrEqual(leader!.state.commitIndex);
  const { applied } = leader!.engine;
  for (const member of members.voters.concat(members.learners)) {
    const other = world.cluster.at(member).engine.applied;
    expect(other.length, `${member} follows`).toBeGreaterThan(applied.length - 20);
    const common = Math.min(other.length, applied.length);
    expect(other.slice(0, common)).toEqual(applied.slice(0, common));
  }
}

const SEEDS = process.env['RAFT_SEED'];
const first = SEEDS === undefined ? 1 : Number(SEEDS);
const count = SEEDS === undefined ? Number(process.env['RAFT_SEEDS'] ?? 200) : 1;

test('B05 B06 B07 B14 random clusters keep figure 3 and converge when the faults stop', () => {
  for (let seed = first; seed < first + count; seed++) {
    try {
      run(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}, 600_000);
