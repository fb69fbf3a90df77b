import { decodeRecord } from '../../../protocol/objects.ts';
import { type KeyRef, KV_SPACE } from '../../../protocol/vshard.ts';
import { compareChanges } from '../../check/truth.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

const NAME = 'published events are true';

/** An object is told by its ETag. */
function shownValue({ space }: KeyRef, value: Uint8Array): string {
  return space === KV_SPACE ? Buffer.from(value).toString('latin1') : decodeRecord(value).etag;
}

/** What a node published happened: same kind, key, revision and value as in the committed log. */
export const publishedTrue: FinalCheck = {
  name: NAME,
  source: 'architecture 8: public events',
  run: ({ history, truth }) => {
    const changes = truth.changes;
    for (const { node, event } of history.published) {
      let low = 0;
      let high = changes.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (compareChanges(changes[middle]!, event) < 0) low = middle + 1;
        else high = middle;
      }
      const change = changes[low];
      const what = `${node} published ${event.kind} of ${event.ref.key} @${event.revision}`;
      if (change === undefined || compareChanges(change, event) !== 0) {
        throw new SimViolation(NAME, `${what}, which is not in the history`);
      }
      const value = event.item === null ? null : shownValue(event.ref, event.item.value);
      if (change.kind !== event.kind || change.value !== value) {
        throw new SimViolation(NAME, `${what}; the history has ${change.kind} there`);
      }
    }
  },
};
