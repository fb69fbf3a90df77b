import * as s from './schema.ts';

/** A precondition on one key, of a plain write or in a transaction. An absent or expired key has revision 0. */
export const conditionCodec = s.union({
  revision: [1, s.record({ revision: s.count })],
  exists: [2, s.record({})],
  absent: [3, s.record({})],
});
export type Condition = s.Of<typeof conditionCodec>;
