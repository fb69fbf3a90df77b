import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { KeyRef } from '../../protocol/vshard.ts';

/** One change of one key in the final history, as read back from the store after the last fault. */
export interface Change {
  readonly kind: 'put' | 'delete' | 'expire';
  readonly ref: KeyRef;
  readonly vshard: number;
  readonly revision: number;
  /** 0 when the key was absent. */
  readonly prevRevision: number;
  /** What a put wrote, or its hash; null otherwise. */
  readonly value: string | null;
  /** Unix ms of a put with a time to live. */
  readonly expiresAtMs: number | null;
}

/** A version that is visible at some revision. */
export interface Version {
  readonly key: string;
  readonly revision: number;
  readonly value: string;
}

/** Half-open [start, end) in one tenant and space; end null is open. Latin1 keys. */
export interface KeyRange {
  readonly tenant: string;
  readonly space: string;
  readonly start: string;
  readonly end: string | null;
}

/** The one order of events: (revision, vshard, tenant NUL space NUL key). */
export function compareChanges(
  a: Pick<Change, 'revision' | 'vshard' | 'ref'>,
  b: Pick<Change, 'revision' | 'vshard' | 'ref'>,
): number {
  return (
    a.revision - b.revision || a.vshard - b.vshard || compareText(nameOf(a.ref), nameOf(b.ref))
  );
}

export function nameOf(ref: KeyRef): string {
  return `${ref.tenant}\0${ref.space}\0${ref.key}`;
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The whole history of a run: every change, in the one order. */
export class Truth {
  readonly changes: readonly Change[];
  readonly #byKey = new Map<string, Change[]>();
  /** All names in order, so that a range costs what it holds. */
  readonly #names: readonly string[];

  /** Takes the changes in any order. */
  constructor(changes: readonly Change[]) {
    this.changes = [...changes].sort(compareChanges);
    for (const change of this.changes) {
      const name = nameOf(change.ref);
      const versions = this.#byKey.get(name);
      if (versions === undefined) this.#byKey.set(name, [change]);
      else versions.push(change);
    }
    this.#names = [...this.#byKey.keys()].sort(compareText);
  }

  /**
   * What is wrong with the history itself: each change of a key names the one before it (or none
   * when that had expired by then).
   */
  flaw(): string | null {
    for (const [name, changes] of this.#byKey) {
      let previous: Change | null = null;
      for (const change of changes) {
        const gone = previous !== null && isExpired(previous, change.revision);
        const expected = previous?.kind === 'put' ? previous.revision : 0;
        const where = `${change.kind} of ${JSON.stringify(name)} @${change.revision}`;
        if (previous?.revision === change.revision) return `${where}: two changes at one revision`;
        if (change.prevRevision !== expected && !(gone && change.prevRevision === 0)) {
          return `${where} replaced @${change.prevRevision}, but @${expected} was there`;
        }
        if (change.kind !== 'put' && expected === 0) return `${where} removed nothing`;
        previous = change;
      }
    }
    return null;
  }

  /** The versions that are visible at `revision`, in key order. */
  versionsAt(range: KeyRange, revision: number): Version[] {
    const found: Version[] = [];
    const head = `${range.tenant}\0${range.space}\0`;
    const first = head + range.start;
    let at = lowerBound(this.#names, (name) => name >= first);
    for (; at < this.#names.length; at++) {
      const name = this.#names[at] as string;
      const key = name.slice(head.length);
      if (!name.startsWith(head) || (range.end !== null && key >= range.end)) break;
      const last = lastUpTo(this.#byKey.get(name) as Change[], revision);
      if (last?.kind !== 'put' || isExpired(last, revision)) continue;
      found.push({ key, revision: last.revision, value: last.value ?? '' });
    }
    return found;
  }
}

function lastUpTo(changes: readonly Change[], revision: number): Change | undefined {
  return changes[lowerBound(changes, (change) => change.revision > revision) - 1];
}

/** Index of the first item from which on `isAtOrAfter` holds; the length when it never does. */
export function lowerBound<T>(items: readonly T[], isAtOrAfter: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isAtOrAfter(items[middle] as T)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function isExpired(change: Change, revision: number): boolean {
  return change.expiresAtMs !== null && change.expiresAtMs <= wallMsOfRevision(revision);
}
