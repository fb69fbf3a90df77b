import { type ActorRefFrom, createActor, setup } from 'xstate';
import type { Role } from '../raft/events.ts';

/** What the machine holds: the replica that it hosts. A handle, never data. */
export interface Hosted {
  role(): Role;
  /** Decides everything that has gathered. Must not throw. */
  decideBatch(nowMs: number): void;
  /** Decides what the sync of this turn allows. Must not throw. */
  decideSynced(nowMs: number): void;
}

type ReplicaMachineEvent =
  | { readonly type: 'recovered' }
  | { readonly type: 'batch'; readonly nowMs: number }
  | { readonly type: 'synced'; readonly nowMs: number }
  | { readonly type: 'broken' }
  | { readonly type: 'stop' };

const machine = setup({
  types: {
    context: {} as { readonly hosted: Hosted },
    input: {} as { readonly hosted: Hosted },
    events: {} as ReplicaMachineEvent,
  },
  actions: {
    decideBatch: ({ context }, { nowMs }: { nowMs: number }) => context.hosted.decideBatch(nowMs),
    decideSynced: ({ context }, { nowMs }: { nowMs: number }) => context.hosted.decideSynced(nowMs),
  },
  guards: {
    hasRole: ({ context }, role: Role) => context.hosted.role() === role,
  },
});

const to = (role: Role) => ({
  target: role,
  guard: { type: 'hasRole' as const, params: role },
});

/**
 * Life cycle of one replica: recovering (its log is being replayed), running with its role as the
 * mode, failed (an invariant broke: it answers nothing until the process starts anew), stopped. The
 * machine hosts; every rule of the protocol is in the core, whose role the modes mirror. One event
 * carries a whole batch.
 */
export const replicaMachine = machine.createMachine({
  id: 'replica',
  context: ({ input }) => ({ hosted: input.hosted }),
  initial: 'recovering',
  states: {
    recovering: { on: { recovered: 'running', broken: 'failed', stop: 'stopped' } },
    running: {
      on: {
        batch: {
          actions: { type: 'decideBatch', params: ({ event }) => ({ nowMs: event.nowMs }) },
        },
        synced: {
          actions: { type: 'decideSynced', params: ({ event }) => ({ nowMs: event.nowMs }) },
        },
        broken: 'failed',
        stop: 'stopped',
      },
      initial: 'learner',
      states: {
        learner: {
          always: [to('follower'), to('preCandidate'), to('candidate'), to('leader')],
        },
        follower: {
          always: [to('learner'), to('preCandidate'), to('candidate'), to('leader')],
        },
        preCandidate: {
          always: [to('learner'), to('follower'), to('candidate'), to('leader')],
        },
        candidate: {
          always: [to('learner'), to('follower'), to('preCandidate'), to('leader')],
        },
        leader: {
          always: [to('learner'), to('follower'), to('preCandidate'), to('candidate')],
        },
      },
    },
    failed: { type: 'final' },
    stopped: { type: 'final' },
  },
});

export type ReplicaActor = ActorRefFrom<typeof replicaMachine>;

/** The machine of one replica, recovering. */
export function startReplicaMachine(hosted: Hosted): ReplicaActor {
  const actor = createActor(replicaMachine, { input: { hosted } });
  actor.start();
  return actor;
}
