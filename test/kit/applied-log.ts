import { evolve } from '../../actors/raft/evolve.ts';
import { EMPTY_CONFIG } from '../../actors/raft/log.ts';
import { birthOf, recoverState } from '../../actors/raft/recover.ts';
import type { RaftState } from '../../actors/raft/state.ts';
import { Applier } from '../../actors/replica/applier.ts';
import { ReplicaFeed } from '../../actors/replica/feed.ts';
import { Proposals } from '../../actors/replica/proposals.ts';
import { WriteSpans } from '../../actors/replica/write-spans.ts';
import { type Command, encodeCommand } from '../../protocol/commands.ts';
import { makeEntry } from '../../protocol/entry.ts';
import { REVISION_EPOCH_MS, revisionAtWallMs } from '../../protocol/revision.ts';
import { put } from './applied-group.ts';
import { FakePorts } from './fake-ports.ts';
import { FakeReplica } from './fake-replica.ts';
import { ALL_VSHARDS } from './kv-history.ts';
import { MemoryState } from './memory-state.ts';

/** The first revision of the fake replica's clock. */
export const BASE = revisionAtWallMs(REVISION_EPOCH_MS + 1_000_000);

/** A write of one key at a revision. */
export function writeAt(revision: number, key: string, traceparent: string | null = null): Command {
  const ops = [put(key, '1')];
  return { type: 'write', revision, epoch: 1, ops, idempotency: null, traceparent };
}

/** A store that says how far behind its engine is. */
class BehindState extends MemoryState {
  behindBytes = 0;

  override pendingBytes(): number {
    return this.behindBytes;
  }
}

/** The applier of one replica over a log that the test writes and commits. */
export class AppliedLog {
  readonly store = new BehindState();
  readonly replica = new FakeReplica(1 as never, new FakePorts(), this.store);
  readonly raft: RaftState;
  readonly proposals = new Proposals();
  readonly feed: ReplicaFeed;
  readonly applier: Applier;

  constructor() {
    const { self } = this.replica;
    const birth = birthOf({ ...EMPTY_CONFIG, voters: [self] });
    const zero = { index: 0, term: 0, config: EMPTY_CONFIG, clockBound: 0 };
    this.raft = recoverState({ self, seed: 1 }, [birth], zero).state;
    evolve(this.raft, { type: 'TermAdvanced', term: 2 });
    this.feed = new ReplicaFeed(this.replica.ports.clock, 0, async () => 'compacted');
    const spans = new WriteSpans(this.replica);
    this.applier = new Applier(this.replica, this.raft, this.proposals, this.feed, spans);
    this.log({ type: 'own', epoch: 1, vshards: ALL_VSHARDS }, 2);
    this.applier.step();
  }

  /** Committed by others, perhaps before it is synced here. */
  log(command: Command, term: number, isSynced = true): void {
    const index = this.raft.log.lastIndex + 1;
    const clockBound = command.type === 'reserve' ? command.bound : 0;
    const entry = makeEntry({ index, term, kind: 'command', clockBound }, encodeCommand(command));
    evolve(this.raft, { type: 'EntriesAppended', prevLogIndex: index - 1, entries: [entry] });
    evolve(this.raft, { type: 'CommitAdvanced', commitIndex: index });
    if (isSynced) evolve(this.raft, { type: 'SyncAdvanced', syncedIndex: index });
  }
}
