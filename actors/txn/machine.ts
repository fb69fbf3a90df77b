import { type ActorRefFrom, createActor, setup } from 'xstate';

/** What the machine drives; none of it may throw. */
export interface TxnEffects {
  /** Whether this replica leads its group. */
  leads(): boolean;
  /** A new leader: finds the decisions that participants have yet to learn. `resumed` when it has. */
  takeOver(): void;
  /** Leads no more. */
  stepDown(): void;
  /** Asks about what is prepared for long, and writes down what all know. */
  tend(nowMs: number): void;
}

type TxnEvent =
  | { readonly type: 'tick'; readonly nowMs: number }
  | { readonly type: 'resumed' }
  | { readonly type: 'lost' };

/**
 * Life of a group's transactions on one replica: standby where it does not lead; where it does it first
 * takes over what an earlier leader left unfinished, beside serving. The machine hosts; the rules are in
 * attempt.ts and in actors/apply/txn.ts.
 */
export const txnMachine = setup({
  types: {
    context: {} as { readonly effects: TxnEffects },
    input: {} as { readonly effects: TxnEffects },
    events: {} as TxnEvent,
  },
  actions: {
    takeOver: ({ context }) => context.effects.takeOver(),
    stepDown: ({ context }) => context.effects.stepDown(),
    tend: ({ context }, { nowMs }: { nowMs: number }) => context.effects.tend(nowMs),
  },
  guards: { leads: ({ context }) => context.effects.leads() },
}).createMachine({
  id: 'transactions',
  context: ({ input }) => ({ effects: input.effects }),
  initial: 'standby',
  states: {
    standby: { on: { tick: { guard: 'leads', target: 'leading' } } },
    leading: {
      entry: 'takeOver',
      exit: 'stepDown',
      initial: 'resuming',
      on: {
        lost: 'standby',
        tick: { actions: { type: 'tend', params: ({ event }) => ({ nowMs: event.nowMs }) } },
      },
      states: { resuming: { on: { resumed: 'serving' } }, serving: {} },
    },
  },
});

export type TxnActor = ActorRefFrom<typeof txnMachine>;

/** The machine on standby. */
export function startTxnMachine(effects: TxnEffects): TxnActor {
  const actor = createActor(txnMachine, { input: { effects } });
  actor.start();
  return actor;
}
