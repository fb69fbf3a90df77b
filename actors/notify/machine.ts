import { type ActorRefFrom, createActor, setup } from 'xstate';

/** What a lane does its work with. */
export interface LaneEffects {
  /** Whether a key that is held may be tried again. */
  isDue(): boolean;
  /** Whether the pause is over. */
  isRested(): boolean;
  /** One step: reads, sends and takes away some. It answers `more`, `empty`, `held` or `failed`. */
  step(): void;
}

export type LaneEvent =
  /** There may be something to send. */
  | { readonly type: 'wake' }
  | { readonly type: 'tick' }
  | { readonly type: 'more' }
  | { readonly type: 'empty' }
  /** What is left are keys of which the target did not take something. */
  | { readonly type: 'held' }
  /** The target takes nothing: it is tried again after a pause. */
  | { readonly type: 'failed' };

/** The way of one group's notifications to one target. What wakes it while it works makes it look once more. */
export const laneMachine = setup({
  types: {
    context: {} as { readonly effects: LaneEffects },
    input: {} as { readonly effects: LaneEffects },
    events: {} as LaneEvent,
  },
  actions: { step: ({ context }) => context.effects.step() },
  guards: {
    isDue: ({ context }) => context.effects.isDue(),
    isRested: ({ context }) => context.effects.isRested(),
  },
}).createMachine({
  id: 'lane',
  context: ({ input }) => ({ effects: input.effects }),
  initial: 'idle',
  states: {
    idle: { on: { wake: 'working' } },
    working: {
      entry: 'step',
      on: {
        more: { target: 'working', reenter: true },
        empty: 'idle',
        held: 'holding',
        failed: 'pausing',
      },
    },
    holding: { on: { wake: 'working', tick: { guard: 'isDue', target: 'working' } } },
    pausing: { on: { tick: { guard: 'isRested', target: 'working' } } },
  },
});

export type LaneActor = ActorRefFrom<typeof laneMachine>;

export function startLaneMachine(effects: LaneEffects): LaneActor {
  const actor = createActor(laneMachine, { input: { effects } });
  actor.start();
  return actor;
}
