import { type ActorRefFrom, createActor, setup } from 'xstate';
import type { Role } from '../raft/events.ts';

/** What the machine holds: the replica that it hosts. A handle, never data. */
export interface Hosted {
  role(): Role;
  /** Decides everything that has gathered. Must not throw. */
  decideBatch(nowMs: number): void;
  /** Decides what the sync of this turn allows. Must not throw. */
  decideSynced(nowMs: number): void;
  /** Decides what followers have acknowledged, and applies. Must not throw. */
  decideHeard(nowMs: number): void;
}

type ReplicaMachineEvent =
  | { readonly type: 'recovered' }
  | { readonly type: 'batch'; readonly nowMs: number }
  | { readonly type: 'synced'; readonly nowMs: number }
  | { readonly type: 'heard'; readonly nowMs: number }
  /** From the machine to itself: the core's role is no longer the one that the mode shows. */
  | { readonly type: 'roleChanged' }
  | { readonly type: 'broken' }
  | { readonly type: 'stop' };

interface Context {
  readonly hosted: Hosted;
  /** The role that the mode shows. */
  readonly mirrored: { role: Role };
}

const machine = setup({
  types: {
    context: {} as Context,
    input: {} as { readonly hosted: Hosted },
    events: {} as ReplicaMachineEvent,
  },
  guards: {
    hasRole: ({ context }, role: Role) => context.hosted.role() === role,
  },
});

const ROLES = ['learner', 'follower', 'preCandidate', 'candidate', 'leader'] as const;

const intoRole = ROLES.map((role) => ({
  target: `#${role}`,
  guard: { type: 'hasRole' as const, params: role },
}));

/**
 * Life cycle of one replica: recovering (its log is being replayed), running with its role as the
 * mode, failed (an invariant broke: it answers nothing until the process starts anew), stopped. The
 * machine hosts; every rule of the protocol is in the core, whose role the modes mirror. Nothing is
 * eventless: XState would ask all guards again after each event.
 */
export const replicaMachine = machine.createMachine({
  id: 'replica',
  context: ({ input }) => ({ hosted: input.hosted, mirrored: { role: input.hosted.role() } }),
  initial: 'recovering',
  states: {
    recovering: { on: { recovered: intoRole, broken: 'failed', stop: 'stopped' } },
    running: {
      on: {
        roleChanged: intoRole,
        broken: 'failed',
        stop: 'stopped',
      },
      initial: 'learner',
      states: {
        learner: { id: 'learner' },
        follower: { id: 'follower' },
        preCandidate: { id: 'preCandidate' },
        candidate: { id: 'candidate' },
        leader: { id: 'leader' },
      },
    },
    failed: { type: 'final' },
    stopped: { type: 'final' },
  },
});

/**
 * The machine, and what it does with a batch: one event carries all of it, and changes no mode but by
 * `roleChanged`. XState takes 2.4 microseconds to find the one action of such an event, and a turn of
 * eight groups sends twenty-four, so those that carry batches are taken here, before it looks.
 */
const replicaLogic: typeof replicaMachine = Object.assign(Object.create(replicaMachine), {
  transition(...[snapshot, event, scope]: Parameters<typeof replicaMachine.transition>) {
    if (event.type !== 'batch' && event.type !== 'synced' && event.type !== 'heard') {
      return replicaMachine.transition(snapshot, event, scope);
    }
    const { value, context } = snapshot;
    if (typeof value === 'string') return snapshot;
    const { hosted, mirrored } = context;
    if (event.type === 'batch') hosted.decideBatch(event.nowMs);
    else if (event.type === 'synced') hosted.decideSynced(event.nowMs);
    else hosted.decideHeard(event.nowMs);
    if (hosted.role() !== mirrored.role) {
      mirrored.role = hosted.role();
      scope.self.send({ type: 'roleChanged' });
    }
    return snapshot;
  },
});

export type ReplicaActor = ActorRefFrom<typeof replicaMachine>;

/** The machine of one replica, recovering. */
export function startReplicaMachine(hosted: Hosted): ReplicaActor {
  const actor = createActor(replicaLogic, { input: { hosted } });
  actor.start();
  return actor;
}
