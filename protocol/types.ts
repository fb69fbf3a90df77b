/** Ids and small shared types. Brands are made only by the parsers in this file. */

export type NodeId = string & { readonly __brand: 'NodeId' };
/** One life of one replica: `<nodeId>:<incarnation>`. A lost or damaged log gets a new one. */
export type ReplicaId = string & { readonly __brand: 'ReplicaId' };
/** 0 is the meta group; data groups are 1..groupCount. */
export type GroupId = number & { readonly __brand: 'GroupId' };
/** 0..255; see protocol/vshard.ts. */
export type VshardId = number & { readonly __brand: 'VshardId' };
/** Hybrid logical clock in a safe integer; see protocol/revision.ts. 0 means absent. */
export type Revision = number;

export const META_GROUP = 0 as GroupId;

const NODE_ID = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** A node id: 1 to 32 of a-z, 0-9 and '-', so that it is one NATS token and one file name. */
export function parseNodeId(text: string): NodeId | null {
  return NODE_ID.test(text) ? (text as NodeId) : null;
}

/** Joins a node and its incarnation (8 to 16 hex digits drawn when its data folder was made). */
export function replicaId(nodeId: NodeId, incarnation: string): ReplicaId {
  return `${nodeId}:${incarnation}` as ReplicaId;
}

/** The node a replica id lives on. */
export function nodeOf(id: ReplicaId): NodeId {
  const colon = id.indexOf(':');
  return (colon < 0 ? id : id.slice(0, colon)) as NodeId;
}

/** The state a decider sees: no assignment, no mutator, all the way down. */
export type View<T> = T extends string | number | boolean | null | undefined
  ? T // branded ids too: a mapped type would take them apart
  : T extends (infer U)[]
    ? readonly View<U>[]
    : T extends Map<infer K, infer V>
      ? ReadonlyMap<K, View<V>>
      : T extends Set<infer U>
        ? ReadonlySet<U>
        : T extends Uint8Array
          ? T
          : T extends (...args: never[]) => unknown
            ? T
            : T extends object
              ? { readonly [K in keyof T]: View<T[K]> }
              : T;
