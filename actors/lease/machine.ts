import { type ActorRefFrom, createActor, setup } from 'xstate';

/** What the sweeper does in the world; `sweep` answers with one event to the machine. */
export interface SweepEffects {
  /** Whether leases have ended of which the group may still hold keys. */
  hasEnded(): boolean;
  /** One pass over the group; `swept` or `failed`. */
  sweep(): void;
}

type SweepEvent =
  | { readonly type: 'tick' }
  | { readonly type: 'swept' }
  | { readonly type: 'failed' };

/**
 * The sweep of one group: what it holds of ended leases is removed from beside the leaders of their homes.
 * Nothing is kept: a lease's row stays ended until all is done, so the next leader begins where this one was.
 */
export const sweepMachine = setup({
  types: {
    context: {} as { readonly effects: SweepEffects },
    input: {} as { readonly effects: SweepEffects },
    events: {} as SweepEvent,
  },
  actions: { sweep: ({ context }) => context.effects.sweep() },
  guards: { hasEnded: ({ context }) => context.effects.hasEnded() },
}).createMachine({
  id: 'lease-sweep',
  context: ({ input }) => ({ effects: input.effects }),
  initial: 'resting',
  states: {
    resting: { on: { tick: { guard: 'hasEnded', target: 'sweeping' } } },
    sweeping: { entry: 'sweep', on: { swept: 'resting', failed: 'resting' } },
  },
});

export type SweepActor = ActorRefFrom<typeof sweepMachine>;

export function startSweepMachine(effects: SweepEffects): SweepActor {
  const actor = createActor(sweepMachine, { input: { effects } });
  actor.start();
  return actor;
}
