import { LIMITS } from '../../protocol/limits.ts';

/** How many items a page has that was asked for so many. */
export function pageLimit(asked: number | null | undefined): number {
  return Math.min(asked ?? LIMITS.pageItemsDefault, LIMITS.pageItemsMax);
}

/** What a page says of a limit that it did not follow: what it took instead. */
export function loweredLimit(asked: number | null | undefined): { limit?: number } {
  return (asked ?? 0) > LIMITS.pageItemsMax ? { limit: LIMITS.pageItemsMax } : {};
}
