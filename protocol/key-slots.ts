/** Places of a memory of the last keys that were asked about. */
export const KEY_SLOTS = 256;
/** Longer keys are not remembered: what is held for a moment only would be moved to where it is seldom collected. */
export const REMEMBERED_KEY_MAX = 256;

/** The place of a key, by its length and its last characters: those in which keys differ. */
export function slotOfKey(key: string): number {
  let at = key.length;
  const last = at - 1;
  const first = at > 4 ? at - 4 : 0;
  for (let i = last; i >= first; i--) at = at * 31 + key.charCodeAt(i);
  return at & (KEY_SLOTS - 1);
}
