import { checkWatchers, type WatcherSeen, type WatchSeen } from '../../check/watch.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

/** Watchers see every change they asked for, once, in the one order, across reconnects. */
export const watchesExact: FinalCheck = {
  name: 'watches are exact',
  source: 'architecture 8: change feed',
  run: ({ history, truth }) => {
    const verdict = checkWatchers(truth, history.watchers);
    if (verdict.result === 'ok') return;
    const watcher = history.watchers.find(({ name }) => name === verdict.watcher);
    const context = watcher === undefined ? '' : describeSessions(watcher, verdict.reason);
    throw new SimViolation('watches are exact', `${verdict.watcher}: ${verdict.reason}${context}`);
  },
};

/** The connection that went wrong and the one before it, as far as a person reads. */
function describeSessions(watcher: WatcherSeen, reason: string): string {
  const number = Number(/^connection (\d+)/.exec(reason)?.[1] ?? watcher.sessions.length);
  let text = '';
  for (const at of [number - 1, number]) {
    const session = watcher.sessions[at - 1];
    if (session === undefined) continue;
    const shown = session.messages.map(describe);
    const middle = shown.length > 14 ? [...shown.slice(0, 7), '...', ...shown.slice(-7)] : shown;
    text += `\n  connection ${at} from ${JSON.stringify(session.start)}:`;
    for (const line of middle) text += `\n    ${line}`;
  }
  return text;
}

function describe(message: WatchSeen): string {
  switch (message.type) {
    case 'event': {
      const { kind, ref, revision, vshard, initial } = message;
      return `${kind} ${ref.key} @${revision} vshard ${vshard}${initial ? ' (initial)' : ''}`;
    }
    case 'synced':
    case 'progress':
      return `${message.type} @${message.revision}`;
    case 'compacted':
      return `compacted, oldest @${message.oldestRevision}`;
    case 'lagged':
      return 'lagged';
  }
}
