import type { Change } from './truth.ts';

/** What a client was told of a lock: its own token, or that this token is (no longer) the lock's revision. */
export interface LockSeen {
  readonly lock: string;
  readonly lease: number;
  readonly token: number;
  /** `asked`: a request for it, from `callMs` to `atMs`, which is infinite where it may still be at work. */
  readonly kind: 'asked' | 'acquired' | 'valid' | 'released';
  readonly callMs: number;
  readonly atMs: number;
}

/** A token is valid no more once a later one was given out. What is wrong; null when nothing is. */
export function flawOfLocks(seen: readonly LockSeen[]): { at: number; reason: string } | null {
  const byLock = new Map<string, LockSeen[]>();
  for (const one of seen) {
    const known = byLock.get(one.lock);
    if (known === undefined) byLock.set(one.lock, [one]);
    else known.push(one);
  }
  for (const [lock, all] of byLock) {
    const given = all.filter(({ kind }) => kind === 'acquired').sort((a, b) => a.atMs - b.atMs);
    let next = 0;
    let highest: LockSeen | null = null;
    for (const one of [...all].sort((a, b) => a.callMs - b.callMs)) {
      for (; next < given.length && (given[next] as LockSeen).atMs < one.callMs; next++) {
        const other = given[next] as LockSeen;
        if (highest === null || other.token > highest.token) highest = other;
      }
      if (
        one.kind === 'released' ||
        one.kind === 'asked' ||
        highest === null ||
        highest.token <= one.token
      )
        continue;
      const what = `token ${one.token} of ${lock} was ${one.kind} at ${one.callMs}`;
      const reason = `${what}, after ${highest.token} had been given out at ${highest.atMs}`;
      return { at: one.callMs, reason };
    }
  }
  return null;
}

/**
 * Writes that compared a lock's revision with their token, against the final history: each happened while that
 * lock was held with that token. A guarded key's value begins with the token and a space.
 */
export function flawOfFencing(
  history: readonly Change[],
  lockKey: (guarded: string) => string | null,
): string | null {
  const holders = new Map<string, number>();
  let at = 0;
  for (const { ref, kind, revision, value } of history) {
    // A lock that changes at the guarded write's own revision would be the write's own doing.
    for (; (history[at] as Change).revision < revision; at++) {
      const { ref: lock, kind: what, revision: token } = history[at] as Change;
      holders.set(lock.key, what === 'put' ? token : 0);
    }
    const lock = lockKey(ref.key);
    if (lock === null || kind !== 'put' || value === null) continue;
    const token = Number(value.slice(0, value.indexOf(' ')));
    const holder = holders.get(lock) ?? 0;
    if (holder === token) continue;
    return `${ref.key} @${revision} was written with token ${token}, while ${lock} was @${holder}`;
  }
  return null;
}
