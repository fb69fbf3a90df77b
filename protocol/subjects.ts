import type { NodeId } from './types.ts';
import type { KeyRef } from './vshard.ts';

/** NATS subject grammar. The only place where subjects are built or parsed. */

export const LANES = ['raft', 'request', 'blob', 'snapshot'] as const;
export type Lane = (typeof LANES)[number];

const CLUSTER_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** A cluster's name: 1 to 32 of a-z, 0-9 and '-'; one token. */
export function isClusterName(text: string): boolean {
  return CLUSTER_NAME.test(text);
}

/** Where a node listens on a lane. */
export function nodeSubject(cluster: string, nodeId: NodeId, lane: Lane): string {
  return `minikv.${cluster}.node.${nodeId}.${lane}`;
}

/**
 * Where a server tells one process that nobody listens for a node. `token` names the process and is
 * drawn at random.
 */
export function absenceSubject(cluster: string, token: string, nodeId: NodeId): string {
  return `minikv.${cluster}.absent.${token}.${nodeId}`;
}

/** Where nodes of a cluster find each other: everyone publishes, everyone listens. */
export function helloSubject(cluster: string): string {
  return `minikv.${cluster}.hello`;
}

/** Where a client's request for one operation goes, e.g. `minikv.api.get`. */
export function apiSubject(operation: string): string {
  return `minikv.api.${operation}`;
}

const TOKENS_MAX = 16;
const SUBJECT_BYTES_MAX = 900;

/**
 * `minikv.events.<tenant>.<space>.<key tokens>`. The key is cut at '/', at most 16 tokens (the
 * rest stays in the last). Within a token, bytes outside A-Z a-z 0-9 - are written `_xx` in hex,
 * an empty token is `_`; so the encoding is injective. A key whose subject would be longer than
 * 900 bytes gets the single token `_h` and 32 hex digits of its hash; the header has the key.
 */
export function eventSubject(ref: KeyRef, longKeyHash: (key: string) => string): string {
  const parts = ref.key.split('/');
  const kept = parts.slice(0, TOKENS_MAX - 1);
  if (parts.length >= TOKENS_MAX) kept.push(parts.slice(TOKENS_MAX - 1).join('/'));
  const tokens = kept.map(encodeToken).join('.');
  const head = `minikv.events.${encodeToken(ref.tenant)}.${encodeToken(ref.space)}`;
  if (head.length + tokens.length + 1 > SUBJECT_BYTES_MAX)
    return `${head}._h${longKeyHash(ref.key)}`;
  return `${head}.${tokens}`;
}

function encodeToken(part: string): string {
  if (part === '') return '_';
  return part.replace(/[^A-Za-z0-9-]/g, (c) => `_${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
