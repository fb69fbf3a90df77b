import type { KeyRange, Truth, Version } from './truth.ts';

/** One page that a client got. */
export interface ScanSeen {
  readonly range: KeyRange;
  readonly reverse: boolean;
  readonly limit: number;
  readonly items: readonly Version[];
  /** Where the page says it goes on; null when it says that the range is at its end. */
  readonly next: string | null;
  /** The revision it says it was read at. */
  readonly revision: number;
  /** True when the client asked for that revision; false for the latest. */
  readonly past: boolean;
  readonly call: number;
  readonly ret: number;
}

/** A write that was acknowledged. */
export interface AckedWrite {
  readonly revision: number;
  readonly ret: number;
}

export type ReadVerdict =
  | { readonly result: 'ok'; readonly scans: number; readonly items: number }
  | { readonly result: 'violation'; readonly reason: string };

/**
 * Checks scans against the final history:
 * S1 a page at revision R is exactly the versions visible at R, in order (so all its keys, from all
 *    groups, are of one moment);
 * S2 a scan of the latest is not older than a write or another such scan that was over before it began.
 */
export function checkSnapshotReads(
  truth: Truth,
  scans: readonly ScanSeen[],
  acked: readonly AckedWrite[],
): ReadVerdict {
  let items = 0;
  for (const scan of scans) {
    const reason = checkPage(truth, scan);
    if (reason !== null) return { result: 'violation', reason: `${describe(scan)}: ${reason}` };
    items += scan.items.length;
  }
  const reason = checkRealTime(scans, acked);
  return reason === null
    ? { result: 'ok', scans: scans.length, items }
    : { result: 'violation', reason };
}

function checkPage(truth: Truth, scan: ScanSeen): string | null {
  const visible = truth.versionsAt(scan.range, scan.revision);
  if (scan.reverse) visible.reverse();
  if (scan.items.length > scan.limit) return `more than ${scan.limit} items`;
  for (const [at, item] of scan.items.entries()) {
    const expected = visible[at];
    if (expected === undefined) return `${show(item)} is not in the history at that revision`;
    if (item.key !== expected.key || item.revision !== expected.revision) {
      return `item ${at} is ${show(item)}, the history has ${show(expected)}`;
    }
    if (item.value !== expected.value) return `${show(item)} has another value than was written`;
  }
  const missing = visible[scan.items.length];
  if (missing === undefined) return null;
  if (scan.next === null) return `says it is complete, but ${show(missing)} is missing`;
  if (scan.items.length === 0) return `an empty page that goes on never ends`;
  const skips = scan.reverse ? missing.key >= scan.next : missing.key < scan.next;
  return skips ? `goes on at ${JSON.stringify(scan.next)}, which skips ${show(missing)}` : null;
}

function checkRealTime(scans: readonly ScanSeen[], acked: readonly AckedWrite[]): string | null {
  const latest = scans.filter((scan) => !scan.past);
  const over = [...latest, ...acked].sort((a, b) => a.ret - b.ret);
  let newest = 0;
  let at = 0;
  for (const scan of [...latest].sort((a, b) => a.call - b.call)) {
    for (; at < over.length && (over[at] as AckedWrite).ret < scan.call; at++) {
      newest = Math.max(newest, (over[at] as AckedWrite).revision);
    }
    if (scan.revision < newest) return `${describe(scan)}: revision ${newest} was public before`;
  }
  return null;
}

function describe(scan: ScanSeen): string {
  const { start, end } = scan.range;
  return `scan [${JSON.stringify(start)}, ${JSON.stringify(end)}) @${scan.revision}, called at ${scan.call}`;
}

function show(version: Version): string {
  return `${JSON.stringify(version.key)} @${version.revision}`;
}
