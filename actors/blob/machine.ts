import { type ActorRefFrom, createActor, setup } from 'xstate';

/** What the machine holds: the node's transfers. A handle, never data. */
export interface BlobHosted {
  /** Does everything that has gathered. Must not throw. */
  step(nowMs: number): void;
  /** Ends every transfer. */
  end(): void;
}

type BlobEvent =
  | { readonly type: 'batch'; readonly nowMs: number }
  | { readonly type: 'broken' }
  | { readonly type: 'stop' };

/**
 * Life cycle of a node's transfers of chunks: running, failed (an invariant broke; the process ends), stopped.
 * Nothing is kept: a transfer that a crash cuts off is begun anew by whoever wants it.
 */
export const blobMachine = setup({
  types: {
    context: {} as { readonly hosted: BlobHosted },
    input: {} as { readonly hosted: BlobHosted },
    events: {} as BlobEvent,
  },
  actions: {
    step: ({ context }, { nowMs }: { nowMs: number }) => context.hosted.step(nowMs),
    end: ({ context }) => context.hosted.end(),
  },
}).createMachine({
  id: 'blob',
  context: ({ input }) => ({ hosted: input.hosted }),
  initial: 'running',
  states: {
    running: {
      on: {
        batch: { actions: { type: 'step', params: ({ event }) => ({ nowMs: event.nowMs }) } },
        broken: 'failed',
        stop: 'stopped',
      },
    },
    failed: { type: 'final', entry: 'end' },
    stopped: { type: 'final', entry: 'end' },
  },
});

export type BlobMachine = ActorRefFrom<typeof blobMachine>;

export function startBlobMachine(hosted: BlobHosted): BlobMachine {
  const actor = createActor(blobMachine, { input: { hosted } });
  actor.start();
  return actor;
}

type ChoreEvent = { readonly type: 'tick' } | { readonly type: 'done' };

/** What is done again and again, never twice at once. `work` ends with `done`. */
export const choreMachine = setup({
  types: {
    context: {} as { readonly effects: { work(): void } },
    input: {} as { readonly effects: { work(): void } },
    events: {} as ChoreEvent,
  },
  actions: { work: ({ context }) => context.effects.work() },
}).createMachine({
  id: 'blob-chore',
  context: ({ input }) => ({ effects: input.effects }),
  initial: 'resting',
  states: {
    resting: { on: { tick: 'working' } },
    working: { entry: 'work', on: { done: 'resting' } },
  },
});

export type ChoreActor = ActorRefFrom<typeof choreMachine>;

export function startChoreMachine(effects: { work(): void }): ChoreActor {
  const actor = createActor(choreMachine, { input: { effects } });
  actor.start();
  return actor;
}
