import { describe, expect, it } from 'vitest';
import { Forming, helloPayload, selfOf, WELL } from '../../../actors/formation.ts';
import { PostOffice } from '../../../actors/kit/post-office.ts';
import type { NodeConfig } from '../../../protocol/config.ts';
import { decodeEnvelope } from '../../../protocol/envelope.ts';
import type { Formation } from '../../../protocol/messages/node.ts';
import type { NodeId } from '../../../protocol/types.ts';
import type { Identity } from '../../../storage/ports.ts';
import { FakePorts, nodeConfig } from '../../kit/fake-ports.ts';
import { HandClock } from '../../kit/hand-clock.ts';

const nodes = (names: string) => names.split(' ').filter(Boolean) as NodeId[];

/** One forming node. */
class Member {
  readonly ports: FakePorts;
  readonly config: NodeConfig;
  readonly identity: Identity;
  readonly post: PostOffice;
  readonly forming: Forming;
  formation: Formation | null = null;

  constructor(clock: HandClock, name: string, members: string, more: Partial<NodeConfig> = {}) {
    this.ports = new FakePorts(clock);
    const nodeId = name.split(':')[0] as NodeId;
    this.config = nodeConfig({ nodeId, initialMembers: nodes(members), ...more });
    const incarnation = name.split(':')[1] ?? '00000001';
    this.identity = { nodeId, incarnation, formation: null, born: false };
    this.post = new PostOffice(this.ports, selfOf(this.identity), '', 7);
    this.forming = new Forming(this.config, this.ports, this.identity, this.post, (formation) => {
      this.formation = formation;
    });
  }

  /** What this node says of itself reaches the other. */
  greets(other: Member): void {
    const envelope = decodeEnvelope(helloPayload(this.config, this.identity, '', this.post, WELL));
    const hello = envelope.messages[0]?.message;
    if (hello?.type === 'Hello') other.forming.onHello(envelope.from, hello);
  }
}

describe('forming a cluster', () => {
  it('of one node needs nobody', () => {
    const member = new Member(new HandClock(), 'a', 'a', { groupCount: 5 });
    member.forming.start();
    expect(member.formation).toEqual({
      clusterId: expect.stringMatching(/^[0-9a-f]{16}$/),
      members: [{ nodeId: 'a', incarnation: '00000001' }],
      groupCount: 5,
    });
  });

  it('waits until every listed member was heard, then names each one’s incarnation', () => {
    const clock = new HandClock();
    const [a, b, c] = [
      new Member(clock, 'a', 'a b c'),
      new Member(clock, 'b:0000000b', 'c b a'),
      new Member(clock, 'c:0000000c', 'a c b'),
    ];
    a.forming.start();
    b.greets(a);
    expect(a.formation).toBeNull();
    c.greets(a);
    expect(a.formation?.members).toEqual([
      { nodeId: 'a', incarnation: '00000001' },
      { nodeId: 'b', incarnation: '0000000b' },
      { nodeId: 'c', incarnation: '0000000c' },
    ]);
  });

  it('is the first member’s decision alone', () => {
    const clock = new HandClock();
    const [a, b] = [new Member(clock, 'a', 'a b'), new Member(clock, 'b', 'a b')];
    b.forming.start();
    a.greets(b);
    expect(b.formation).toBeNull();
    const formation = { clusterId: 'c', members: [], groupCount: 2 };
    b.forming.onForm(formation);
    b.forming.onForm({ ...formation, clusterId: 'another' });
    expect(b.formation).toBe(formation);
  });

  it('never happens between different lists or different numbers of groups', () => {
    const clock = new HandClock();
    for (const other of [
      new Member(clock, 'b', 'a b c'),
      new Member(clock, 'b', 'b'),
      new Member(clock, 'b', 'a b', { groupCount: 3 }),
    ]) {
      const a = new Member(clock, 'a', 'a b');
      a.forming.start();
      other.greets(a);
      expect(a.formation).toBeNull();
    }
  });

  it('needs all members at the same time', async () => {
    const clock = new HandClock();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => new Member(clock, name, 'a b c'));
    a?.forming.start();
    b?.greets(a as Member);
    await clock.pass(1_600);
    c?.greets(a as Member);
    expect(a?.formation).toBeNull();
    b?.greets(a as Member);
    expect(a?.formation).not.toBeNull();
    a?.forming.stop();
  });

  it('takes a member that was wiped in between for who it is now', () => {
    const clock = new HandClock();
    const a = new Member(clock, 'a', 'a b c');
    a.forming.start();
    new Member(clock, 'b:00000001', 'a b c').greets(a);
    new Member(clock, 'b:00000002', 'a b c').greets(a);
    new Member(clock, 'c', 'a b c').greets(a);
    expect(a.formation?.members[1]).toEqual({ nodeId: 'b', incarnation: '00000002' });
  });

  it('never happens on a node that only joins, whoever is there', async () => {
    const clock = new HandClock();
    const a = new Member(clock, 'a', 'a', { join: true });
    a.forming.start();
    await clock.pass(5_000);
    expect(a.formation).toBeNull();
    const formation = { clusterId: 'old', members: [], groupCount: 2 };
    a.forming.onForm(formation);
    expect(a.formation).toBe(formation);
  });

  it('does not count a member that has data of a cluster already', () => {
    const clock = new HandClock();
    const [a, b] = [new Member(clock, 'a', 'a b'), new Member(clock, 'b', 'a b')];
    a.forming.start();
    const envelope = decodeEnvelope(helloPayload(b.config, b.identity, 'old', b.post, WELL));
    const hello = envelope.messages[0]?.message;
    if (hello?.type === 'Hello') a.forming.onHello(envelope.from, hello);
    expect(a.formation).toBeNull();
  });

  it('says hello until it is over', async () => {
    const clock = new HandClock();
    const a = new Member(clock, 'a', 'a b');
    a.forming.start();
    await clock.pass(1_000);
    expect(a.ports.bus.sent.map(({ to, lane }) => `${to} ${lane}`)).toEqual(
      new Array(6).fill('all hello'),
    );
    a.forming.onForm({ clusterId: 'c', members: [], groupCount: 2 });
    await clock.pass(1_000);
    expect(a.ports.bus.sent).toHaveLength(6);
    expect(clock.timerCount).toBe(0);
  });
});
