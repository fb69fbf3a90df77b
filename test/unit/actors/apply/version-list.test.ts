import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GroupView } from '../../../../actors/apply/group-state.ts';
import { listObjects } from '../../../../actors/apply/object-list.ts';
import { listVersions } from '../../../../actors/apply/object-version-list.ts';
import { NO_CONDITION } from '../../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../../protocol/objects.ts';
import { AppliedGroup } from '../../../kit/applied-group.ts';
import { BUCKET, objectRef, RULE, VOTERS } from '../../../kit/object-history.ts';

/** A versioned bucket: each key is put as often as it is named. */
function groupOf(keys: readonly string[]): AppliedGroup {
  const group = new AppliedGroup();
  group.apply({ type: 'bucket', rule: { ...RULE, versioning: 'enabled' } });
  for (const key of keys) {
    const data = { head: NO_HEAD, data: null, checksum: null } as const;
    const fields = { ref: objectRef(key), size: 0, etag: 'e', ttlMs: null } as const;
    group.apply({
      ...{ type: 'object', revision: group.nextRevision(), epoch: 1, bucket: RULE.id },
      ...{ founders: VOTERS, idempotency: null, traceparent: null },
      op: { type: 'put', ...fields, ...data, condition: NO_CONDITION },
    });
  }
  return group;
}

const asked = { ...BUCKET, prefix: '', start: '', bytesMax: 10_000_000, below: 0 };

/** How often rows were looked for anew while `read` ran. */
async function jumpsOf(view: GroupView, read: () => Promise<unknown>): Promise<number> {
  const cursor = view.cursor.bind(view);
  let jumps = 0;
  view.cursor = (range) => {
    jumps++;
    return cursor(range);
  };
  await read();
  view.cursor = cursor;
  return jumps;
}

const anyKey = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'c0', 'd', 'd/'),
  fc.tuple(fc.constantFrom('b/', 'c/', 'd/0/', 'd/1/'), fc.nat(60)).map(([at, n]) => `${at}${n}`),
);

describe('versions of a bucket', () => {
  it('with a delimiter are those without, rolled up, of keys with any number of versions', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyKey, { maxLength: 150 }),
        fc.constantFrom('', '', 'd/', 'b'),
        fc.constantFrom('', 'b/3', 'c/', 'd/0/2'),
        fc.constantFrom(1, 3, 1_000),
        async (keys, prefix, start, limit) => {
          const view = groupOf(keys).state.view();
          const query = { ...asked, prefix, start };
          const all = await listVersions(
            view,
            { ...query, delimiter: null, limit: 1_000 },
            view.clock,
          );
          const page = await listVersions(view, { ...query, delimiter: '/', limit }, view.clock);
          const wanted: string[] = [];
          for (const entry of all.entries) {
            if (entry.type === 'prefix') throw new Error('there was no delimiter');
            const at = entry.key.indexOf('/', prefix.length);
            const shown = at < 0 ? `${entry.key}@${entry.putAt}` : entry.key.slice(0, at + 1);
            if (at < 0 || wanted.at(-1) !== shown) wanted.push(shown);
          }
          const shown = page.entries.map((entry) =>
            entry.type === 'prefix' ? entry.prefix : `${entry.key}@${entry.putAt}`,
          );
          expect(shown).toEqual(wanted.slice(0, limit));
          expect(page.next === null).toBe(wanted.length <= limit);
          await view.close();
        },
      ),
      { numRuns: 80 },
    );
  });

  it('folders are passed by what was read ahead: not a search for each', async () => {
    const keys = Array.from(
      { length: 1_500 },
      (_, n) => `f${String(n % 300).padStart(3, '0')}/${n}`,
    );
    const view = groupOf(keys).state.view();
    const query = { ...asked, delimiter: '/', limit: 1_000 };
    const ofVersions = await jumpsOf(view, async () => {
      const page = await listVersions(view, query, view.clock);
      expect(page.entries.length).toBe(300);
    });
    expect(ofVersions).toBeLessThan(20);
    const ofObjects = await jumpsOf(view, async () => {
      const page = await listObjects(view, query, view.clock);
      expect(page === 'compacted' ? 0 : page.entries.length).toBe(300);
    });
    expect(ofObjects).toBeLessThan(20);
    await view.close();
  });
});
