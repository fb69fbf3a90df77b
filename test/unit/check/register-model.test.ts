import { describe, expect, it } from 'vitest';
import type { Operation } from '../../check/history.ts';
import { ABSENT, stateKey, step, UNKNOWN } from '../../check/register-model.ts';

const base = { process: 1, key: 'k', call: 1, ret: 2 } as const;
const lostPut: Operation = {
  ...base,
  input: { type: 'put', value: 'a', condition: null, expires: false },
  output: null,
};

describe('the register model', () => {
  it('keeps the revision of a lost put open until an answer shows it', () => {
    const open = step(ABSENT, lostPut);
    expect(open).toMatchObject({ value: 'a', revision: UNKNOWN });
    if (open === null) return;
    const read = {
      ...base,
      input: { type: 'get' },
      output: { type: 'got', value: 'a', revision: 9 },
    };
    const known = step(open, read as Operation);
    expect(known).toMatchObject({ revision: 9, floor: 9 });
    expect(stateKey(open)).not.toBe(known === null ? '' : stateKey(known));
  });

  it('a delete keeps the floor, so that revisions cannot start again', () => {
    const present = { value: 'a', revision: 9, floor: 9, mayExpire: false };
    const removal: Operation = {
      ...base,
      input: { type: 'delete', condition: null },
      output: { type: 'deleted', deleted: true, revision: 12 },
    };
    const gone = step(present, removal);
    expect(gone).toEqual({ value: null, revision: 0, floor: 12, mayExpire: false });
    const late: Operation = { ...lostPut, output: { type: 'put', revision: 12 } };
    expect(gone && step(gone, late)).toBeNull();
  });
});
