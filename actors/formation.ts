import type { NodeConfig } from '../protocol/config.ts';
import type { MessageOf, Routed } from '../protocol/envelope.ts';
import type { Formation } from '../protocol/messages/node.ts';
import { randomHex } from '../protocol/random.ts';
import { META_GROUP, type NodeId, nodeOf, type ReplicaId, replicaId } from '../protocol/types.ts';
import type { Identity } from '../storage/ports.ts';
import type { Ports } from './kit/ports.ts';
import type { PostOffice } from './kit/post-office.ts';

const HELLO_MS = 200;
/** A hello older than this no longer shows that its node is there. */
const FRESH_MS = 1_500;

export type Hello = MessageOf<'Hello'>;

/** Of a node that holds nothing yet. */
export const WELL = { disk: 'ok', chunks: null } as const;

/**
 * Forming a cluster, or joining one. The founder (the first of `initialMembers` by name) forms when
 * every listed member has said hello, empty and with the same list, within the last second and a
 * half. The formation names each founder's incarnation, so a member that was wiped in between is not
 * taken for the one that was asked. A node with data never gets here.
 */
export class Forming {
  readonly #config: NodeConfig;
  readonly #ports: Ports;
  readonly #identity: Identity;
  readonly #post: PostOffice;
  readonly #heard = new Map<NodeId, { hello: Hello; from: ReplicaId; atMs: number }>();
  readonly #done: (formation: Formation) => void;
  #cancel: (() => void) | null = null;
  #formed = false;

  constructor(
    config: NodeConfig,
    ports: Ports,
    identity: Identity,
    post: PostOffice,
    done: (formation: Formation) => void,
  ) {
    this.#config = config;
    this.#ports = ports;
    this.#identity = identity;
    this.#post = post;
    this.#done = done;
  }

  start(): void {
    const { initialMembers, nodeId, join } = this.#config;
    if (!join && initialMembers.length === 1 && initialMembers[0] === nodeId) {
      this.#form([{ nodeId, incarnation: this.#identity.incarnation }]);
      return;
    }
    this.#tick();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  onHello(from: ReplicaId, hello: Hello): void {
    if (hello.clusterId !== '') return;
    this.#heard.set(nodeOf(from), { hello, from, atMs: this.#ports.clock.monotonicMs() });
    this.#tryToForm();
  }

  /** The founder's decision, or an existing cluster's answer. */
  onForm(formation: Formation): void {
    if (this.#formed) return;
    this.#formed = true;
    this.stop();
    this.#done(formation);
  }

  #tick(): void {
    if (this.#formed) return;
    this.#ports.bus.broadcast(helloPayload(this.#config, this.#identity, '', this.#post, WELL));
    this.#tryToForm();
    if (!this.#formed) this.#cancel = this.#ports.clock.after(HELLO_MS, () => this.#tick());
  }

  #tryToForm(): void {
    const { initialMembers, nodeId, join } = this.#config;
    const founder = [...initialMembers].sort()[0];
    if (this.#formed || join || founder !== nodeId) return;
    const nowMs = this.#ports.clock.monotonicMs();
    const members = [];
    for (const member of initialMembers) {
      if (member === nodeId) {
        members.push({ nodeId, incarnation: this.#identity.incarnation });
        continue;
      }
      const heard = this.#heard.get(member);
      if (heard === undefined || nowMs - heard.atMs > FRESH_MS) return;
      if (!sameFounders(heard.hello, this.#config)) return;
      members.push({ nodeId: member, incarnation: heard.hello.incarnation });
    }
    this.#form(members);
  }

  #form(members: { nodeId: NodeId; incarnation: string }[]): void {
    this.#formed = true;
    this.stop();
    const clusterId = randomHex(this.#ports.random, 8);
    this.#done({ clusterId, members, groupCount: this.#config.groupCount });
  }
}

function sameFounders(hello: Hello, config: NodeConfig): boolean {
  const theirs = [...hello.initialMembers].sort().join();
  return (
    theirs === [...config.initialMembers].sort().join() && hello.groupCount === config.groupCount
  );
}

/** The bytes of this node's hello. */
export function helloPayload(
  config: NodeConfig,
  identity: Identity,
  clusterId: string,
  post: PostOffice,
  { disk, chunks }: Pick<Hello, 'disk' | 'chunks'>,
): Uint8Array {
  const hello: Hello = {
    type: 'Hello',
    incarnation: identity.incarnation,
    clusterId,
    initialMembers: [...config.initialMembers],
    groupCount: config.groupCount,
    roles: [...config.roles],
    httpUrl: config.httpUrl,
    version: config.version,
    disk,
    chunks,
  };
  return post.encode('all' as NodeId, [nodeMessage(hello)]);
}

/** A message between nodes as such. */
export function nodeMessage(message: Hello | MessageOf<'Form' | 'Demands'>): Routed {
  return { group: META_GROUP, to: '', message };
}

/** This node's own replica id. */
export function selfOf(identity: Identity): ReplicaId {
  return replicaId(identity.nodeId, identity.incarnation);
}
