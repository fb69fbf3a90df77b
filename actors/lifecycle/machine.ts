import { type ActorRefFrom, createActor, setup } from 'xstate';

/** What a group's rules are carried out by; each answers with one event to the machine. */
export interface LifecycleEffects {
  /** Whether a pass is to begin: this node leads the group, and has rested. */
  isDue(): boolean;
  /** Which buckets have rules: `found`, or `ended` where none has. */
  look(): void;
  /** One bounded step of the pass: `more`, or `ended` at its end. */
  step(): void;
}

export type LifecycleEvent =
  | { readonly type: 'tick' }
  | { readonly type: 'found' }
  | { readonly type: 'more' }
  | { readonly type: 'ended' };

/**
 * The lifecycle rules of one group, carried out beside its leader: a pass over the buckets that have some, in steps
 * at the pace of ticks. Nothing is kept: the next leader begins a pass of its own, and takes away what is still there.
 */
export const lifecycleMachine = setup({
  types: {
    context: {} as { readonly effects: LifecycleEffects },
    input: {} as { readonly effects: LifecycleEffects },
    events: {} as LifecycleEvent,
  },
  actions: {
    look: ({ context }) => context.effects.look(),
    step: ({ context }) => context.effects.step(),
  },
  guards: { isDue: ({ context }) => context.effects.isDue() },
}).createMachine({
  id: 'lifecycle',
  context: ({ input }) => ({ effects: input.effects }),
  initial: 'resting',
  states: {
    resting: { on: { tick: { guard: 'isDue', target: 'looking' } } },
    looking: { entry: 'look', on: { found: 'pausing', ended: 'resting' } },
    stepping: { entry: 'step', on: { more: 'pausing', ended: 'resting' } },
    pausing: { on: { tick: 'stepping' } },
  },
});

export type LifecycleActor = ActorRefFrom<typeof lifecycleMachine>;

export function startLifecycleMachine(effects: LifecycleEffects): LifecycleActor {
  const actor = createActor(lifecycleMachine, { input: { effects } });
  actor.start();
  return actor;
}
