import { describeOperation, type Operation } from './history.ts';

/**
 * Cheap necessary conditions on one key's history, near-linear, with a reason a person can act on.
 * They catch most violations before the search, which then only has to find the subtle ones.
 */
export function precheck(operations: readonly Operation[]): string | null {
  const writes = new Map<string, Operation>();
  for (const op of operations) {
    if (op.input.type !== 'put') continue;
    if (writes.has(op.input.value)) {
      throw new Error(`recorder error: two puts wrote ${op.input.value}; values must be unique`);
    }
    writes.set(op.input.value, op);
  }
  return checkReads(operations, writes) ?? checkRevisions(operations) ?? checkMonotone(operations);
}

/** A value that is read was written, by a put that had begun, whose answer names the same revision. */
function checkReads(
  operations: readonly Operation[],
  writes: ReadonlyMap<string, Operation>,
): string | null {
  for (const op of operations) {
    if (op.output?.type !== 'got' || op.output.value === null) continue;
    const write = writes.get(op.output.value);
    if (write === undefined) return `read of a value nobody wrote: ${describeOperation(op)}`;
    if (write.call > op.ret) {
      return `read of a value before its put began: ${describeOperation(op)}; ${describeOperation(write)}`;
    }
    if (write.output === null) continue;
    if (write.output.type !== 'put') {
      return `read of a value whose put was refused: ${describeOperation(op)}; ${describeOperation(write)}`;
    }
    if (write.output.revision !== op.output.revision) {
      return `read and put disagree on the revision: ${describeOperation(op)}; ${describeOperation(write)}`;
    }
  }
  return null;
}

/** A revision stands for one value: two writes or two values never share it. */
function checkRevisions(operations: readonly Operation[]): string | null {
  const owners = new Map<number, { what: string; op: Operation }>();
  for (const op of operations) {
    const shown = valueAtRevision(op);
    if (shown === null) continue;
    const owner = owners.get(shown.revision);
    if (owner === undefined) owners.set(shown.revision, { what: shown.what, op });
    else if (owner.what !== shown.what) {
      return `one revision, two values: ${describeOperation(owner.op)}; ${describeOperation(op)}`;
    }
  }
  return null;
}

function valueAtRevision(op: Operation): { revision: number; what: string } | null {
  const { input, output } = op;
  if (output?.type === 'got' && output.value !== null) {
    return { revision: output.revision, what: `put ${output.value}` };
  }
  if (output?.type === 'put' && input.type === 'put') {
    return { revision: output.revision, what: `put ${input.value}` };
  }
  if (output?.type === 'deleted' && output.deleted) {
    return { revision: output.revision, what: `delete by ${op.process} at ${op.call}` };
  }
  return null;
}

/** What began after an answer was there shows no older revision (absent shows none). */
function checkMonotone(operations: readonly Operation[]): string | null {
  const answered = operations.filter((op) => op.output !== null && op.output.revision > 0);
  const byReturn = [...answered].sort((a, b) => a.ret - b.ret);
  const byCall = [...answered].sort((a, b) => a.call - b.call);
  let newest: Operation | null = null;
  let at = 0;
  for (const op of byCall) {
    for (; at < byReturn.length && (byReturn[at] as Operation).ret < op.call; at++) {
      const done = byReturn[at] as Operation;
      if (newest === null || revisionOf(done) > revisionOf(newest)) newest = done;
    }
    if (newest !== null && revisionOf(op) < revisionOf(newest)) {
      return `went back in revisions: ${describeOperation(op)} after ${describeOperation(newest)}`;
    }
  }
  return null;
}

function revisionOf(op: Operation): number {
  return op.output?.revision ?? 0;
}
