import { type ActionArgs, type ActorRefFrom, createActor, setup } from 'xstate';
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

type Args<T extends ReplicaMachineEvent['type']> = ActionArgs<
  Context,
  Extract<ReplicaMachineEvent, { type: T }>,
  ReplicaMachineEvent
>;

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

/** One event and one action per batch; the mode follows with a second event when the role changed. */
const decideBatch = ({ context, event, self }: Args<'batch'>): void => {
  context.hosted.decideBatch(event.nowMs);
  mirror(context, self);
};

const decideSynced = ({ context, event, self }: Args<'synced'>): void => {
  context.hosted.decideSynced(event.nowMs);
  mirror(context, self);
};

const decideHeard = ({ context, event, self }: Args<'heard'>): void => {
  context.hosted.decideHeard(event.nowMs);
  mirror(context, self);
};

function mirror(context: Context, self: Args<'batch'>['self']): void {
  if (context.hosted.role() === context.mirrored.role) return;
  context.mirrored.role = context.hosted.role();
  self.send({ type: 'roleChanged' });
}

const ROLES = ['learner', 'follower', 'preCandidate', 'candidate', 'leader'] as const;

const intoRole = ROLES.map((role) => ({
  target: `#${role}`,
  guard: { type: 'hasRole' as const, params: role },
}));

/**
 * Life cycle of one replica: recovering (its log is being replayed), running with its role as the
 * mode, failed (an invariant broke: it answers nothing until the process starts anew), stopped. The
 * machine hosts; every rule of the protocol is in the core, whose role the modes mirror. One event
 * carries a whole batch. Nothing is eventless: XState would ask all guards again after each event.
 */
export const replicaMachine = machine.createMachine({
  id: 'replica',
  context: ({ input }) => ({ hosted: input.hosted, mirrored: { role: input.hosted.role() } }),
  initial: 'recovering',
  states: {
    recovering: { on: { recovered: intoRole, broken: 'failed', stop: 'stopped' } },
    running: {
      on: {
        batch: { actions: decideBatch },
        synced: { actions: decideSynced },
        heard: { actions: decideHeard },
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

export type ReplicaActor = ActorRefFrom<typeof replicaMachine>;

/** The machine of one replica, recovering. */
export function startReplicaMachine(hosted: Hosted): ReplicaActor {
  const actor = createActor(replicaMachine, { input: { hosted } });
  actor.start();
  return actor;
}
