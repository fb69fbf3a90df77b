import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Role } from '../../../../actors/raft/events.ts';
import { type Hosted, startReplicaMachine } from '../../../../actors/replica/machine.ts';

type Mode = 'recovering' | Role | 'failed' | 'stopped';
type EventName = 'recovered' | 'batch' | 'synced' | 'heard' | 'broken' | 'stop';

/** What an event does in a mode: where it leads, and what it asks of the replica. */
interface Expected {
  readonly to: Mode;
  readonly calls: readonly string[];
}

const ROLES = ['learner', 'follower', 'preCandidate', 'candidate', 'leader'] as const;
const stay = (to: Mode): Expected => ({ to, calls: [] });

function running(role: Role): Record<EventName, Expected> {
  return {
    recovered: stay(role),
    batch: { to: role, calls: ['decideBatch 7'] },
    synced: { to: role, calls: ['decideSynced 7'] },
    heard: { to: role, calls: ['decideHeard 7'] },
    broken: stay('failed'),
    stop: stay('stopped'),
  };
}

const ended = (mode: Mode): Record<EventName, Expected> => ({
  recovered: stay(mode),
  batch: stay(mode),
  synced: stay(mode),
  heard: stay(mode),
  broken: stay(mode),
  stop: stay(mode),
});

const TABLE: Record<Mode, Record<EventName, Expected>> = {
  recovering: {
    recovered: stay('follower'),
    batch: stay('recovering'),
    synced: stay('recovering'),
    heard: stay('recovering'),
    broken: stay('failed'),
    stop: stay('stopped'),
  },
  learner: running('learner'),
  follower: running('follower'),
  preCandidate: running('preCandidate'),
  candidate: running('candidate'),
  leader: running('leader'),
  failed: ended('failed'),
  stopped: ended('stopped'),
};

class Host implements Hosted {
  current: Role = 'follower';
  readonly calls: string[] = [];
  onBatch: () => void = () => {};

  role(): Role {
    return this.current;
  }

  decideBatch(nowMs: number): void {
    this.calls.push(`decideBatch ${nowMs}`);
    this.onBatch();
  }

  decideHeard(nowMs: number): void {
    this.calls.push(`decideHeard ${nowMs}`);
    this.onBatch();
  }

  decideSynced(nowMs: number): void {
    this.calls.push(`decideSynced ${nowMs}`);
    this.onBatch();
  }
}

type Machine = ReturnType<typeof startReplicaMachine>;

function modeOf(machine: Machine): Mode {
  const { value } = machine.getSnapshot();
  return (typeof value === 'string' ? value : value.running) as Mode;
}

function send(machine: Machine, type: EventName): void {
  const isTimed = type === 'batch' || type === 'synced' || type === 'heard';
  machine.send(isTimed ? { type, nowMs: 7 } : { type });
}

function startIn(host: Host, mode: Mode): Machine {
  const machine = startReplicaMachine(host);
  if (mode === 'recovering') return machine;
  if (mode === 'failed' || mode === 'stopped') {
    send(machine, mode === 'failed' ? 'broken' : 'stop');
    return machine;
  }
  host.current = mode;
  send(machine, 'recovered');
  return machine;
}

// XState tells developers of events for actors that have ended; here they are sent on purpose.
beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe('the replica machine', () => {
  for (const [mode, row] of Object.entries(TABLE)) {
    it(`is total in mode ${mode}`, () => {
      for (const [event, expected] of Object.entries(row)) {
        const host = new Host();
        const machine = startIn(host, mode as Mode);
        expect(modeOf(machine)).toBe(mode);
        host.calls.length = 0;
        send(machine, event as EventName);
        expect([event, modeOf(machine), host.calls]).toEqual([event, expected.to, expected.calls]);
      }
    });
  }

  it('mirrors the role of the core after every batch, whatever it changes to', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...ROLES), fc.constantFrom('batch', 'synced', 'heard'))),
        (turns) => {
          const host = new Host();
          const machine = startIn(host, 'follower');
          for (const [role, event] of turns) {
            host.onBatch = () => {
              host.current = role;
            };
            send(machine, event as EventName);
            expect(modeOf(machine)).toBe(role);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it('fails when the batch under way finds a broken invariant', () => {
    const host = new Host();
    const machine = startIn(host, 'leader');
    host.onBatch = () => send(machine, 'broken');
    send(machine, 'batch');
    expect(modeOf(machine)).toBe('failed');
  });
});
