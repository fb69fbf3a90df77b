import { KEY_SLOTS, REMEMBERED_KEY_MAX, slotOfKey } from '../../protocol/key-slots.ts';

/**
 * A request asks for the names of its key's row where it is judged, where it is applied and where it is written, and a
 * transaction several times at each. The last ones are remembered: a name that is there already is no new string, and
 * its hash is known.
 */
const tenants = new Array<string>(KEY_SLOTS).fill('');
const spaces = new Array<string>(KEY_SLOTS).fill('');
const keys = new Array<string>(KEY_SLOTS).fill('');
const triples = new Array<string>(KEY_SLOTS).fill('\x00\x00');

const prefixes = new Array<string>(KEY_SLOTS).fill('');
const namedTriples = new Array<string>(KEY_SLOTS).fill('');
const currentKeys = new Array<string>(KEY_SLOTS).fill('c');

/** See tripleOf. */
export function joinedTriple(tenant: string, space: string, key: string): string {
  if (key.length > REMEMBERED_KEY_MAX) return `${tenant}\x00${space}\x00${key}`;
  const slot = slotOfKey(key);
  if (key !== keys[slot] || space !== spaces[slot] || tenant !== tenants[slot]) {
    triples[slot] = `${tenant}\x00${space}\x00${key}`;
    tenants[slot] = tenant;
    spaces[slot] = space;
    keys[slot] = key;
  }
  return triples[slot] as string;
}

/** See currentKey. */
export function joinedCurrentKey(prefix: string, triple: string): string {
  if (triple.length > REMEMBERED_KEY_MAX) return `${prefix}c${triple}`;
  const slot = slotOfKey(triple);
  if (triple !== namedTriples[slot] || prefix !== prefixes[slot]) {
    currentKeys[slot] = `${prefix}c${triple}`;
    namedTriples[slot] = triple;
    prefixes[slot] = prefix;
  }
  return currentKeys[slot] as string;
}
