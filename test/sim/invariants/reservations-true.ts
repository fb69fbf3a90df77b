import { encodedValue, uniqueValues } from '../model-unique.ts';
import { SimViolation } from '../violation.ts';
import type { World } from '../world.ts';

const NAME = 'reservations are those of live values';

/**
 * In the end, when nobody writes, every reservation of a live unique index is that of a value that its key has, and
 * every such value is reserved: waits until it is so. A live value that is not reserved is an error at once.
 */
export async function reservationsTrue(world: World): Promise<void> {
  const [index] = world.model.unique.enforced.filter(
    ({ toRevision }) => toRevision === Number.POSITIVE_INFINITY,
  );
  if (index === undefined) return;
  for (;;) {
    const wanted = wantedOf(world, index.prefix);
    const there = await reservationsOf(world, index.id);
    for (const [encoded, key] of wanted) {
      if (there.get(encoded) === key) continue;
      const has = there.get(encoded) ?? 'nobody';
      throw new SimViolation(NAME, `${JSON.stringify(encoded)} of ${key} is reserved for ${has}`);
    }
    if (there.size === wanted.size) return;
    await world.sleep(100);
  }
}

/** By encoded value: the key that has it. Keys that can expire may be gone by the time of the other look. */
function wantedOf(world: World, prefix: string): Map<string, string> {
  const wanted = new Map<string, string>();
  for (const { key, value } of world.model.lastingValues()) {
    if (!key.startsWith(prefix)) continue;
    for (const one of uniqueValues(value)) wanted.set(encodedValue(one), key);
  }
  return wanted;
}

async function reservationsOf(world: World, id: number): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const { node } of world.nodes) {
    for (const replica of node?.inspect() ?? []) {
      if (replica.role !== 'leader') continue;
      for (const { id: own, encoded, holder } of await replica.reservations()) {
        if (own === id) found.set(encoded, holder);
      }
    }
  }
  return found;
}
