import type { Clock } from '../../protocol/clock.ts';
import type { EngineWrite } from '../ports.ts';

/** Rows changed between two turns of the event loop: about half a millisecond. */
const ROWS_PER_TURN = 128;
const BYTES_PER_TURN = 512 * 1024;

/** A batch with each value changed; the event loop goes on meanwhile. */
export async function changedInTurns(
  batch: readonly EngineWrite[],
  clock: Pick<Clock, 'soon'>,
  change: (key: string, value: Uint8Array) => Uint8Array,
): Promise<EngineWrite[]> {
  const changed = new Array<EngineWrite>(batch.length);
  let rows = 0;
  let bytes = 0;
  for (let i = 0; i < batch.length; i++) {
    const { key, value } = batch[i] as EngineWrite;
    changed[i] = { key, value: value === null ? null : change(key, value) };
    bytes += value?.length ?? 0;
    if (++rows < ROWS_PER_TURN && bytes < BYTES_PER_TURN) continue;
    await new Promise<void>((resolved) => clock.soon(resolved));
    rows = 0;
    bytes = 0;
  }
  return changed;
}
