import { describe, expect, it } from 'vitest';
import { currentKey, tripleOf } from '../../../../storage/kv/keyspace.ts';
import { AppliedGroup, put, ref } from '../../../kit/applied-group.ts';

describe('the rows of a group', () => {
  it('share their memory with no other group, whose many writes would keep it', () => {
    const quiet = new AppliedGroup();
    const busy = new AppliedGroup();
    const large = 'x'.repeat(1_000);
    for (let i = 0; i < 100; i++) {
      quiet.write([put(`k${i}`, 'small')]);
      for (let j = 0; j < 65; j++) busy.write([put('hot', large)]);
    }
    const buffers = new Set<ArrayBufferLike>();
    for (let i = 0; i < 100; i++) {
      const row = quiet.state.row(currentKey(quiet.state.prefix, tripleOf(ref(`k${i}`))));
      buffers.add((row as Uint8Array).buffer);
    }
    let bytes = 0;
    for (const { byteLength } of buffers) bytes += byteLength;
    expect(bytes).toBeLessThanOrEqual(2 * 64 * 1024);
  });
});
