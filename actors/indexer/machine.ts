import { type ActorRefFrom, assign, createActor, setup } from 'xstate';
import type { Observed, Work } from './plan.ts';

/** What the index builder does in the world. Each answers with one event to the machine. */
export interface BuilderEffects {
  /** Whether this node leads the meta group: only there is an index built. */
  leadsMeta(): boolean;
  /** Reads the catalog and asks every group how it stands: `observed` or `failed`. */
  observe(): void;
  /** Does a bounded piece of the work: `worked` or `failed`. */
  work(work: Work): void;
  plan(observed: Observed): Work;
}

type BuilderEvent =
  | { readonly type: 'tick' }
  /** The catalog has changed on this node: there may be something to do at once. */
  | { readonly type: 'changed' }
  | { readonly type: 'observed'; readonly observed: Observed }
  | { readonly type: 'worked' }
  | { readonly type: 'failed' };

/** Ticks that an answer may take before it is not waited for any more. */
const PATIENCE_TICKS = 20;
/** Ticks between two looks when there was nothing to do. */
const RESTING_TICKS = 4;

interface BuilderContext {
  readonly effects: BuilderEffects;
  readonly waited: number;
}

const isIdle = (work: Work): boolean =>
  work.tell.length + work.fill.length + work.live.length + work.claim.length === 0;

/**
 * The index builder's life: standby on every node but the meta leader's. There it observes how far the
 * groups are with the catalog, and works: enters definitions where they are missing, takes steps of
 * backfills, declares live what is built. All that is durable is in the groups' logs and the catalog,
 * so losing leadership, or the process, at any point loses nothing.
 */
export const builderMachine = setup({
  types: {
    context: {} as BuilderContext,
    input: {} as { readonly effects: BuilderEffects },
    events: {} as BuilderEvent,
  },
  actions: {
    observe: ({ context }) => context.effects.observe(),
    work: ({ context }, { observed }: { observed: Observed }) =>
      context.effects.work(context.effects.plan(observed)),
    wait: assign({ waited: ({ context }) => context.waited + 1 }),
    reset: assign({ waited: 0 }),
  },
  guards: {
    leadsMeta: ({ context }) => context.effects.leadsMeta(),
    followsMeta: ({ context }) => !context.effects.leadsMeta(),
    waitedLong: ({ context }) => context.waited >= PATIENCE_TICKS,
    rested: ({ context }) => context.waited >= RESTING_TICKS,
    isIdle: ({ context }, { observed }: { observed: Observed }) =>
      isIdle(context.effects.plan(observed)),
  },
}).createMachine({
  id: 'index-builder',
  context: ({ input }) => ({ effects: input.effects, waited: 0 }),
  initial: 'standby',
  states: {
    standby: { on: { tick: { guard: 'leadsMeta', target: 'observing' } } },
    resting: {
      entry: 'reset',
      on: {
        changed: 'observing',
        tick: [
          { guard: 'followsMeta', target: 'standby' },
          { guard: 'rested', target: 'observing' },
          { actions: 'wait' },
        ],
      },
    },
    observing: {
      entry: ['reset', 'observe'],
      on: {
        observed: [
          {
            guard: { type: 'isIdle', params: ({ event }) => ({ observed: event.observed }) },
            target: 'resting',
          },
          {
            target: 'working',
            actions: { type: 'work', params: ({ event }) => ({ observed: event.observed }) },
          },
        ],
        failed: 'resting',
        tick: [{ guard: 'waitedLong', target: 'resting' }, { actions: 'wait' }],
      },
    },
    working: {
      entry: 'reset',
      on: {
        worked: [{ guard: 'followsMeta', target: 'standby' }, { target: 'observing' }],
        failed: 'resting',
        tick: [{ guard: 'waitedLong', target: 'resting' }, { actions: 'wait' }],
      },
    },
  },
});

export type BuilderActor = ActorRefFrom<typeof builderMachine>;

/** The machine on standby. */
export function startBuilderMachine(effects: BuilderEffects): BuilderActor {
  const actor = createActor(builderMachine, { input: { effects } });
  actor.start();
  return actor;
}
