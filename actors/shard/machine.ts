import { type ActorRefFrom, assign, createActor, setup } from 'xstate';
import type { Observed, Step } from './plan.ts';

/** What the shard manager does in the world. Each answers with one event to the machine. */
export interface ShardEffects {
  /** Whether this node leads the meta group: only then is there something to manage. */
  leadsMeta(): boolean;
  /** Asks every group's leader; `observed` or `failed`. */
  observe(): void;
  /** Plans from what was observed and orders the steps; `executed` or `failed`. */
  execute(observed: Observed): void;
}

type ShardEvent =
  | { readonly type: 'tick' }
  | { readonly type: 'observed'; readonly observed: Observed }
  | { readonly type: 'executed'; readonly steps: readonly Step[] }
  | { readonly type: 'failed' };

/** Ticks that an answer may take before the work is begun anew. */
const PATIENCE_TICKS = 20;

/**
 * The shard manager's life: standby on every node but the meta leader's; there it observes, plans and
 * executes step by step. It keeps no plan of its own: what is durable is each group's configuration,
 * so losing leadership at any point loses nothing.
 */
export const shardMachine = setup({
  types: {
    context: {} as { readonly effects: ShardEffects; readonly waited: number },
    input: {} as { readonly effects: ShardEffects },
    events: {} as ShardEvent,
  },
  actions: {
    observe: ({ context }) => context.effects.observe(),
    execute: ({ context }, { observed }: { observed: Observed }) =>
      context.effects.execute(observed),
    wait: assign({ waited: ({ context }) => context.waited + 1 }),
    rest: assign({ waited: 0 }),
  },
  guards: {
    leadsMeta: ({ context }) => context.effects.leadsMeta(),
    followsMeta: ({ context }) => !context.effects.leadsMeta(),
    waitedLong: ({ context }) => context.waited >= PATIENCE_TICKS,
  },
}).createMachine({
  id: 'shard-manager',
  context: ({ input }) => ({ effects: input.effects, waited: 0 }),
  initial: 'standby',
  states: {
    standby: { on: { tick: { guard: 'leadsMeta', target: 'observing' } } },
    resting: {
      on: {
        tick: [{ guard: 'followsMeta', target: 'standby' }, { target: 'observing' }],
      },
    },
    observing: {
      entry: ['rest', 'observe'],
      on: {
        observed: {
          target: 'executing',
          actions: { type: 'execute', params: ({ event }) => ({ observed: event.observed }) },
        },
        failed: 'resting',
        tick: [{ guard: 'waitedLong', target: 'resting' }, { actions: 'wait' }],
      },
    },
    executing: {
      entry: 'rest',
      on: {
        executed: 'resting',
        failed: 'resting',
        tick: [{ guard: 'waitedLong', target: 'resting' }, { actions: 'wait' }],
      },
    },
  },
});

export type ShardActor = ActorRefFrom<typeof shardMachine>;

/** The machine on standby. */
export function startShardMachine(effects: ShardEffects): ShardActor {
  const actor = createActor(shardMachine, { input: { effects } });
  actor.start();
  return actor;
}
