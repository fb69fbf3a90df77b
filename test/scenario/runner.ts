import type { RaftCommand, RaftEvent } from '../../actors/raft/events.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { RaftMessage } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import { Cluster, type Packet, type Replica } from '../kit/raft-cluster.ts';
import { config, id } from '../kit/raft-given.ts';
import type { RaftRequest } from '../kit/recorded-outbox.ts';

/**
 * Runs a scenario and returns its text with fresh output. Lines that begin with `>` are commands,
 * `#` comments; the lines beneath a command are its output.
 *
 *   cluster a b c [learners d]     founding members       empty d          a replica that waits to be added
 *   timeout a                      its election timer     tick a [ms]      time passes, then it looks at it
 *   deliver [a>b] [n]              packets, oldest first  drop [a>b] [n]   the same, lost
 *   stabilize                      until nothing is sent  log a b          what they hold
 *   propose a x y    read a 1      transfer a [b]         members a voters b c learners d
 *   crash a                        start a                compact a n      keep n entries
 *   gone a b [n]                   a is told that b, which leads, has gone
 */
export function runScenario(text: string): string {
  const scenario = new Scenario();
  const out: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('  ')) continue;
    out.push(line);
    if (!line.startsWith('> ')) continue;
    for (const printed of scenario.run(line.slice(2).trim().split(/\s+/))) out.push(`  ${printed}`);
  }
  return out.join('\n');
}

class Scenario {
  readonly #cluster: Cluster;
  #printed: string[] = [];

  constructor() {
    let seed = 0;
    this.#cluster = new Cluster(() => ++seed);
    const { hooks } = this.#cluster;
    this.#cluster.hooks = {
      ...hooks,
      onEvents: (replica) => this.#printTurn(replica),
      onRequest: (replica, request) => this.#print(nameOf(replica.self), describeRequest(request)),
    };
    const send = this.#cluster.send.bind(this.#cluster);
    this.#cluster.send = (from, to, message) => {
      send(from, to, message);
      this.#printed.push(`${nameOf(from)}>${nameOf(to)} ${describeMessage(message)}`);
    };
  }

  run([name, ...args]: string[]): string[] {
    this.#printed = [];
    this.#command(name ?? '', args);
    return this.#printed;
  }

  #command(name: string, args: string[]): void {
    const first = args[0] ?? '';
    switch (name) {
      case 'cluster':
        return this.#found(membersOf(['voters', ...args]));
      case 'empty':
        this.#cluster.add(id(first), null);
        return;
      case 'timeout':
        return this.#timeout(this.#at(first));
      case 'tick':
        this.#cluster.nowMs += Number(args[1] ?? 0);
        return this.#turn(this.#at(first), { type: 'Tick' });
      case 'deliver':
        for (const packet of this.#take(args)) this.#deliver(packet);
        return;
      case 'drop':
        this.#printed.push(`${this.#take(args).length} lost`);
        return;
      case 'stabilize':
        while (this.#cluster.network.length > 0) for (const p of this.#take([])) this.#deliver(p);
        return;
      case 'log':
        for (const each of args) this.#printed.push(describeState(this.#at(each)));
        return;
      case 'compact':
        this.#at(first).flush();
        this.#settle(this.#at(first));
        return this.#at(first).compact(Number(args[1]));
      case 'crash':
        return this.#at(first).crash();
      case 'start':
        return this.#at(first).start();
      default:
        return this.#turn(this.#at(first), coreCommand(name, args.slice(1)));
    }
  }

  #found(members: GroupConfig): void {
    for (const self of members.voters) this.#cluster.add(self, members);
    for (const self of members.learners) this.#cluster.add(self, members);
  }

  #timeout(replica: Replica): void {
    this.#turn(replica, { type: 'Tick' });
    const deadline = replica.state.electionDeadlineMs ?? 0;
    this.#cluster.nowMs = Math.max(this.#cluster.nowMs, deadline);
    this.#turn(replica, { type: 'Tick' });
  }

  #turn(replica: Replica, command: RaftCommand): void {
    replica.turn([command]);
    this.#settle(replica);
  }

  /** Its own follow-up work: syncs, applies, chunks. */
  #settle(replica: Replica): void {
    while (replica.up && replica.inbox.length > 0) replica.turn([]);
  }

  #deliver(packet: Packet): void {
    this.#cluster.deliver(packet);
    this.#settle(this.#cluster.at(packet.to));
  }

  /** Removes packets from the network: all, those of one link, or the first n of either. */
  #take(args: string[]): Packet[] {
    const link = args.find((each) => each.includes('>')) ?? '*>*';
    const count = Number(args.find((each) => /^\d+$/.test(each)) ?? Number.POSITIVE_INFINITY);
    const [from, to] = link.split('>');
    const taken: Packet[] = [];
    this.#cluster.network = this.#cluster.network.filter((packet) => {
      const matches =
        (from === '*' || nameOf(packet.from) === from) && (to === '*' || nameOf(packet.to) === to);
      if (!matches || taken.length >= count) return true;
      taken.push(packet);
      return false;
    });
    return taken;
  }

  #at(name: string): Replica {
    return this.#cluster.at(id(name));
  }

  #printTurn(replica: Replica): void {
    for (const event of replica.out.events) {
      const line = describeEvent(event);
      if (line !== null) this.#print(nameOf(replica.self), line);
    }
  }

  #print(name: string, line: string): void {
    this.#printed.push(`${name}: ${line}`);
  }
}

function coreCommand(name: string, args: string[]): RaftCommand {
  switch (name) {
    case 'propose':
      return {
        type: 'Propose',
        proposals: args.map((text, at) => ({
          proposalId: at + 1,
          kind: 'command',
          clockBound: 0,
          payload: Buffer.from(text),
        })),
      };
    case 'gone':
      return { type: 'LeaderGone', leader: id(args[0] ?? ''), order: Number(args[1] ?? 0) };
    case 'read':
      return { type: 'ReadIndex', readId: Number(args[0]) };
    case 'transfer':
      return { type: 'TransferLeader', to: args[0] === undefined ? null : id(args[0]) };
    case 'members': {
      const { voters, learners } = membersOf(args);
      return { type: 'ChangeMembers', voters, learners };
    }
    default:
      throw new Error(`unknown command ${name}`);
  }
}

/** `voters a b learners c`. */
function membersOf(words: string[]): GroupConfig {
  const at = words.indexOf('learners');
  const voters = words.slice(1, at < 0 ? undefined : at);
  return config(voters.join(' '), null, at < 0 ? '' : words.slice(at + 1).join(' '));
}

function nameOf(self: ReplicaId): string {
  return self.split(':')[0] ?? self;
}

function describeConfig({ voters, votersOld, learners }: GroupConfig): string {
  const list = (members: ReplicaId[]) => members.map(nameOf).join(' ');
  const old = votersOld === null ? '' : ` and {${list(votersOld)}}`;
  return `{${list(voters)}}${old}${learners.length > 0 ? ` learners {${list(learners)}}` : ''}`;
}

function describeEvent(event: RaftEvent): string | null {
  switch (event.type) {
    case 'TermAdvanced':
      return `term ${event.term}`;
    case 'VoteCast':
      return `votes for ${nameOf(event.candidateId)}`;
    case 'RoleChanged':
      return event.leaderId === null ? event.role : `${event.role} of ${nameOf(event.leaderId)}`;
    case 'EntriesAppended': {
      const kinds = event.entries.map(({ index, term, kind }) => `${index}/${term} ${kind}`);
      return `appends ${kinds.join(', ')}`;
    }
    case 'CommitAdvanced':
      return `commits up to ${event.commitIndex}`;
    case 'LogCompacted':
      return `forgets up to ${event.baseIndex}`;
    case 'SnapshotRestored':
      return `is at ${event.meta.lastIncludedIndex} by a snapshot`;
    case 'PeerProgressed':
      return event.mode === 'replicate'
        ? `${nameOf(event.peer)} has ${event.matchIndex}`
        : `${nameOf(event.peer)} needs ${event.mode} from ${event.nextIndex}`;
    case 'TransferStarted':
      return `hands over to ${nameOf(event.to)}`;
    case 'TransferEnded':
      return 'keeps the lead';
    case 'PeerRemoved':
      return `lets go of ${nameOf(event.peer)}`;
    default:
      return null;
  }
}

function describeMessage(m: RaftMessage): string {
  switch (m.type) {
    case 'PreVote':
      return `PreVote for term ${m.proposedTerm}, log ends ${m.lastLogIndex}/${m.lastLogTerm}`;
    case 'PreVoteReply':
      return `PreVoteReply ${m.voteGranted ? 'yes' : 'no'}, term ${m.term}`;
    case 'RequestVote':
      return `RequestVote term ${m.term}, log ends ${m.lastLogIndex}/${m.lastLogTerm}`;
    case 'RequestVoteReply':
      return `RequestVoteReply ${m.voteGranted ? 'yes' : 'no'}, term ${m.term}`;
    case 'AppendEntries': {
      const entries = m.entries.map(({ index, term }) => `${index}/${term}`).join(' ');
      const after = `after ${m.prevLogIndex}/${m.prevLogTerm}`;
      return `AppendEntries term ${m.term} ${after} [${entries}] commit ${m.leaderCommit}`;
    }
    case 'AppendEntriesReply':
      if (m.success) return `AppendEntriesReply has ${m.matchIndex}`;
      return `AppendEntriesReply refuses after ${m.matchIndex}, term ${m.conflictTerm} from ${m.conflictIndex}`;
    case 'InstallSnapshot':
      return `InstallSnapshot at ${m.meta.lastIncludedIndex}, bytes ${m.offset}..${m.offset + m.data.length} of ${m.meta.totalBytes}`;
    case 'InstallSnapshotReply':
      return m.installed
        ? 'InstallSnapshotReply installed'
        : `InstallSnapshotReply wants ${m.nextOffset}`;
    case 'TimeoutNow':
      return 'TimeoutNow';
  }
}

function describeRequest(request: RaftRequest): string {
  switch (request.type) {
    case 'proposed':
      return `proposal ${request.proposalId} is ${request.index}/${request.term}`;
    case 'proposalRefused':
      return `proposal ${request.proposalId} refused: ${request.reason}`;
    case 'readConfirmed':
      return `read ${request.readId} at ${request.readIndex}`;
    case 'readRefused':
      return `read ${request.readId} refused`;
    case 'refused':
      return `${request.what} refused: ${request.reason}`;
    default:
      return request.type;
  }
}

function describeState({ self, state, up }: Replica): string {
  const { log, role, currentTerm, commitIndex } = state;
  const terms: number[] = [];
  for (let at = log.baseIndex + 1; at <= log.lastIndex; at++) terms.push(log.termAt(at) ?? 0);
  const base = log.baseIndex > 0 ? `${log.baseIndex}) ` : '';
  const what = up ? role : 'down';
  const list = `${base}[${terms.join(' ')}]`;
  return `${nameOf(self)} ${what} term ${currentTerm} log ${list} commit ${commitIndex} ${describeConfig(log.config)}`;
}
