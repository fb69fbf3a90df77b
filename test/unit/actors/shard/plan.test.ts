import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Observed,
  type ObservedGroup,
  type ObservedNode,
  planSteps,
  type Step,
} from '../../../../actors/shard/plan.ts';
import type { GroupConfig } from '../../../../protocol/membership.ts';
import type { ReplicaStatus } from '../../../../protocol/messages/request.ts';
import { type GroupId, type NodeId, nodeOf, type ReplicaId } from '../../../../protocol/types.ts';

const id = (name: string) => (name.includes(':') ? name : `${name}:1`) as ReplicaId;
const ids = (names: string) => names.split(' ').filter(Boolean).map(id);

function node(name: string, isReplica = true): ObservedNode {
  return { nodeId: nodeOf(id(name)), replica: id(name), isReplica, isWell: true };
}

interface GroupOptions {
  readonly learners?: string;
  readonly votersOld?: string;
  /** matchIndex per replica; the others are as far as the commit index. */
  readonly behind?: Record<string, number>;
  readonly inactive?: string;
}

function group(number: number, leader: string, voters: string, more: GroupOptions = {}) {
  const learners = ids(more.learners ?? '');
  const config: GroupConfig = {
    ...{ voters: ids(voters), learners },
    votersOld: more.votersOld === undefined ? null : ids(more.votersOld),
  };
  const inactive = ids(more.inactive ?? '');
  const matches = [...config.voters, ...learners]
    .filter((replica) => replica !== id(leader))
    .map((replica) => ({
      ...{ replica, active: !inactive.includes(replica) },
      matchIndex: more.behind?.[replica] ?? 1000,
    }));
  const status: Partial<ReplicaStatus> = {
    replica: id(leader),
    config,
    matches,
    commitIndex: 1000,
  };
  return { group: number as GroupId, leader: status as ReplicaStatus } satisfies ObservedGroup;
}

function plan(nodes: ObservedNode[], ...groups: ObservedGroup[]): Step[] {
  return planAmid('', nodes, ...groups);
}

/** With incarnations that are heard, whoever else uses their names. */
function planAmid(living: string, nodes: ObservedNode[], ...groups: ObservedGroup[]): Step[] {
  return planSteps({ nodes, living: new Set(ids(living)), groups, isSteady: true }, 3);
}

const ABC = [node('a'), node('b'), node('c')];
const brief = (steps: Step[]) =>
  steps.map((step) =>
    step.type === 'TransferLeader'
      ? `${step.group} to ${step.to}`
      : `${step.group}: ${step.voters.join(' ')} | ${step.learners.join(' ')}`,
  );

describe('the plan', () => {
  it('is empty when everything is where it should be', () => {
    expect(plan(ABC, group(1, 'a', 'a b c'), group(2, 'b', 'a b c'))).toEqual([]);
  });

  it('never replaces a voter that is heard itself, whoever else uses its name (P2)', () => {
    const second = [node('a'), node('b:2'), node('c')];
    expect(plan(second, group(1, 'a', 'a b c')).length).toBe(1);
    expect(planAmid('a b b:2 c', second, group(1, 'a', 'a b c'))).toEqual([]);
  });

  it('sends a learner away that uses the name of a living voter, also when it has caught up', () => {
    const learning = group(1, 'a', 'a b c', { learners: 'b:2' });
    const second = [node('a'), node('b:2'), node('c')];
    expect(brief(planAmid('a b b:2 c', second, learning))).toEqual(['1: a:1 b:1 c:1 | ']);
    expect(brief(planAmid('a b:2 c', second, learning))).toEqual(['1: a:1 b:2 c:1 | ']);
  });

  it('leaves a configuration that is still joint alone (P1)', () => {
    const joint = group(1, 'a', 'a b', { votersOld: 'a b c', learners: 'd' });
    expect(plan([...ABC, node('d')], joint)).toEqual([]);
  });

  it('replaces a replica that lost its log step by step, its voter kept until the last (P2)', () => {
    const nodes = [node('a'), node('b'), node('c:2')];
    expect(brief(plan(nodes, group(1, 'a', 'a b c')))).toEqual(['1: a:1 b:1 c:1 | c:2']);
    const slow = { learners: 'c:2', behind: { 'c:2': 10 } };
    expect(plan(nodes, group(1, 'a', 'a b c', slow))).toEqual([]);
    const silent = { learners: 'c:2', inactive: 'c:2' };
    expect(plan(nodes, group(1, 'a', 'a b c', silent))).toEqual([]);
    const ready = { learners: 'c:2', behind: { 'c:2': 1000 - 256 } };
    expect(brief(plan(nodes, group(1, 'a', 'a b c', ready)))).toEqual(['1: a:1 b:1 c:2 | ']);
    expect(plan(nodes, group(1, 'a', 'a b c:2'))).toEqual([]);
  });

  it('removes a learner whose life has ended before anything else', () => {
    const nodes = [node('a'), node('b'), node('c:3')];
    const steps = plan(nodes, group(1, 'a', 'a b c', { learners: 'c:2' }));
    expect(brief(steps)).toEqual(['1: a:1 b:1 c:1 | ']);
  });

  it('adds replicas while there are too few, on the nodes that have fewest (P3)', () => {
    const nodes = [node('a'), node('b'), node('c'), node('d'), node('g', false)];
    const groups = [group(1, 'a', 'a b'), group(2, 'b', 'a b c')];
    expect(brief(plan(nodes, ...groups))).toEqual(['1: a:1 b:1 | d:1']);
    expect(plan([node('a'), node('b'), node('g', false)], group(1, 'a', 'a b'))).toEqual([]);
  });

  it('does not count on a learner whose node is gone when another could take its place', () => {
    const learning = group(1, 'a', 'a b', { learners: 'd', inactive: 'd' });
    expect(brief(plan(ABC, learning))).toEqual(['1: a:1 b:1 | c:1']);
    expect(plan([...ABC, node('d')], learning)).toEqual([]);
    const repaired = group(1, 'a', 'a b c', { learners: 'd', inactive: 'd' });
    expect(plan(ABC, repaired)).toEqual([]);
    const lost = [node('a'), node('b'), node('c:2')];
    expect(brief(plan(lost, repaired))).toEqual(['1: a:1 b:1 c:1 | c:2']);
  });

  it('never gives up a voter whose node is only silent', () => {
    expect(plan([node('a'), node('b'), node('d')], group(1, 'a', 'a b c'))).toEqual([]);
  });

  it('spreads leaders, one move at a time, and only when no members change', () => {
    const groups = [1, 2, 3].map((number) => group(number, 'a', 'a b c'));
    expect(brief(plan(ABC, ...groups))).toEqual(['1 to b']);
    expect(brief(plan([...ABC, node('d')], group(1, 'a', 'a b'), ...groups.slice(1)))).toEqual([
      '1: a:1 b:1 | d:1',
    ]);
    expect(planSteps({ nodes: ABC, living: new Set(), groups, isSteady: false }, 3)).toEqual([]);
    const cutOff = groups.map((one) => group(one.group, 'a', 'a b c', { inactive: 'b c' }));
    expect(plan(ABC, ...cutOff)).toEqual([]);
    expect(plan([node('a')], ...groups)).toEqual([]);
  });
});

/** A cluster that does what it is told; learners catch up at once. */
class Cluster {
  readonly lives: Map<string, number>;
  readonly groups: { voters: ReplicaId[]; learners: ReplicaId[]; leader: ReplicaId }[];

  constructor(nodes: string[], groups: string[][]) {
    this.lives = new Map(nodes.map((name) => [name, 1]));
    this.groups = groups.map((names) => {
      const voters = names.map(id);
      return { voters, learners: [], leader: voters[0] as ReplicaId };
    });
  }

  /** A node comes back empty. It leads nothing any more. */
  lose(name: string): void {
    const life = (this.lives.get(name) as number) + 1;
    this.lives.set(name, life);
    for (const one of this.groups) {
      if (nodeOf(one.leader) !== name) continue;
      const next = one.voters.find((voter) => this.isAlive(voter));
      if (next !== undefined) one.leader = next;
    }
  }

  isAlive(replica: ReplicaId): boolean {
    return replica === `${nodeOf(replica)}:${this.lives.get(nodeOf(replica))}`;
  }

  observe(): Observed {
    const nodes = [...this.lives].map(([name, life]) => node(`${name}:${life}`));
    const groups = this.groups.map(({ voters, learners, leader }, i) =>
      group(i, leader, voters.join(' '), {
        learners: learners.join(' '),
        inactive: [...voters, ...learners].filter((one) => !this.isAlive(one)).join(' '),
      }),
    );
    return { nodes, living: new Set(nodes.map((one) => one.replica)), groups, isSteady: true };
  }

  take(step: Step): void {
    const one = this.groups[step.group];
    if (one === undefined) throw new Error('there is no such group');
    if (step.type === 'TransferLeader') {
      const to = one.voters.find((voter) => nodeOf(voter) === step.to);
      expect(to !== undefined && this.isAlive(to)).toBe(true);
      one.leader = to as ReplicaId;
      return;
    }
    // P2: never fewer voters, and never two lives of one node among them.
    expect(step.voters.length).toBeGreaterThanOrEqual(one.voters.length);
    expect(new Set(step.voters.map(nodeOf)).size).toBe(step.voters.length);
    expect(step.voters.filter((voter) => !one.voters.includes(voter)).length).toBeLessThan(2);
    one.voters = [...step.voters];
    one.learners = [...step.learners];
  }
}

describe('following the plan', () => {
  it('comes to rest: every group has its replicas, alive, and leaders are spread', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const clusters = fc.record({
      nodes: fc.integer({ min: 1, max: 5 }),
      groups: fc.array(fc.tuple(fc.nat(4), fc.nat(2)), { minLength: 1, maxLength: 9 }),
      lost: fc.option(fc.nat(4), { nil: null }),
    });
    fc.assert(
      fc.property(clusters, ({ nodes, groups, lost }) => {
        const here = names.slice(0, nodes);
        const placed = groups.map(([first, extra]) =>
          [...new Set([first, first + 1, first + 2].slice(0, extra + 1))].map(
            (at) => here[at % nodes] as string,
          ),
        );
        const cluster = new Cluster(
          here,
          placed.map((list) => [...new Set(list)]),
        );
        // A group that lost its only copy cannot be repaired by anybody.
        const name = lost === null ? null : (here[lost % nodes] as string);
        const isSafe = cluster.groups.every(({ voters }) => voters.length > 2);
        if (name !== null && isSafe) cluster.lose(name);
        let steps = planSteps(cluster.observe(), 3);
        let turns = 0;
        for (; steps.length > 0; steps = planSteps(cluster.observe(), 3)) {
          for (const step of steps) cluster.take(step);
          expect(++turns).toBeLessThan(60);
        }
        const wanted = Math.min(3, nodes);
        for (const { voters, learners, leader } of cluster.groups) {
          expect(voters).toHaveLength(wanted);
          expect([...voters, leader].every((one) => cluster.isAlive(one))).toBe(true);
          expect(learners).toEqual([]);
        }
        const leads = new Map(here.map((one) => [one as NodeId, 0]));
        for (const { leader } of cluster.groups) {
          leads.set(nodeOf(leader), (leads.get(nodeOf(leader)) as number) + 1);
        }
        for (const { voters, leader } of cluster.groups) {
          for (const voter of voters) {
            const [from, to] = [leads.get(nodeOf(leader)), leads.get(nodeOf(voter))];
            expect((from as number) - (to as number)).toBeLessThan(2);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('P4: the plan takes a seat only from a replica that is no more', () => {
  const names = ['a:1', 'a:2', 'b:1', 'b:2', 'c:1', 'c:2', 'd:1'];
  const some = fc.subarray(names, { minLength: 0 });
  const observed = fc.record({ voters: some, learners: some, living: some, here: some });

  it('whatever is observed', () => {
    let replaced = 0;
    fc.assert(
      fc.property(observed, ({ voters, learners, living, here }) => {
        const seats = voters.length === 0 ? ['a:1'] : voters;
        const behind = learners.filter((one) => !seats.includes(one)).join(' ');
        const config = group(1, seats[0] as string, seats.join(' '), { learners: behind });
        const nodes = here.map((name) => node(name));
        for (const step of planAmid(living.join(' '), nodes, config)) {
          if (step.type !== 'ChangeMembers') continue;
          const taken = seats.filter((voter) => !step.voters.includes(id(voter)));
          for (const voter of taken) {
            replaced++;
            expect(living).not.toContain(voter);
            expect(step.voters.map(nodeOf)).toContain(nodeOf(id(voter)));
          }
        }
      }),
      { numRuns: 2_000 },
    );
    expect(replaced).toBeGreaterThan(50);
  });
});
