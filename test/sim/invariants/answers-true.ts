import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

const NAME = 'answers are true';

/**
 * An acknowledged put is in the committed log once, with the revision its client was told; a put
 * that was refused as definite is not in it; no request, repeated or not, is in it twice.
 */
export const answersTrue: FinalCheck = {
  name: NAME,
  source: 'Raft 8 (each request applies once); architecture 1 (indeterminacy); bug classes B9, B10',
  run: ({ history, model }) => {
    for (const [value, effects] of model.effects) {
      if (effects.length < 2) continue;
      const revisions = effects.map((effect) => effect.change.revision).join(', ');
      throw new SimViolation(NAME, `${value.slice(0, 40)} was applied twice: ${revisions}`);
    }
    for (const put of history.puts) {
      const effect = model.effects.get(put.value)?.[0];
      const what = `put ${put.value.slice(0, 40)} of ${put.key}`;
      if (put.outcome === 'refused' && effect !== undefined) {
        const at = `committed in group ${effect.group} at ${effect.index}`;
        throw new SimViolation(NAME, `${what} was refused (${put.why}) but is ${at}`);
      }
      if (put.outcome === 'acknowledged' && effect?.change.revision !== put.revision) {
        const has = effect === undefined ? 'it is not there' : `@${effect.change.revision}`;
        throw new SimViolation(NAME, `${what} was acknowledged @${put.revision}, but ${has}`);
      }
    }
  },
};
