import type { Revision } from './types.ts';

/** Names of the meta group's rows about identities begin so. */
export const IDENTITY_PREFIX = 'identity/';
/** The row that lists their last changes. Apply keeps it, in the batch of each change. */
export const IDENTITY_CHANGES = 'identity-changes';
const RECENT_MAX = 64;

/** The last changes, oldest first: every change above `since` is in it. */
export interface IdentityChanges {
  readonly since: Revision;
  readonly recent: readonly (readonly [revision: Revision, name: string])[];
}

export const NO_CHANGES: IdentityChanges = { since: 0, recent: [] };

/** `name` without the prefix. */
export function withChange(
  { since, recent }: IdentityChanges,
  revision: Revision,
  name: string,
): IdentityChanges {
  const all = [...recent, [revision, name] as const];
  const [oldest] = all;
  if (all.length <= RECENT_MAX || oldest === undefined) return { since, recent: all };
  return { since: oldest[0], recent: all.slice(1) };
}

export function encodeChanges({ since, recent }: IdentityChanges): string {
  return JSON.stringify({ v: 1, since, recent });
}

/** Throws where it is no such row: only this program writes them. */
export function parseChanges(json: string): IdentityChanges {
  const { v, since, recent } = JSON.parse(json) as { v: number } & IdentityChanges;
  if (v !== 1) throw new Error(`a list of changes of version ${v}`);
  return { since, recent };
}
