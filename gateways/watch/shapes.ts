import type { WatchMessage } from '../../protocol/service.ts';
import { eventToJson, keyToJson, type Shape } from '../kv/shapes.ts';

/** A watch message as data: an event's own shape, or what a mark has to say. */
export function messageShape(message: WatchMessage): Shape {
  switch (message.type) {
    case 'event':
      return eventToJson(message.event);
    case 'compacted':
      return { type: 'compacted', oldestRevision: message.oldestRevision };
    case 'lagged':
      return { type: 'lagged', token: message.token };
    default:
      return { type: message.type, revision: message.revision };
  }
}

/** The seed's event `{event, key, tenant, timestamp}`; null for marks it does not know. */
export function seedShape(
  message: WatchMessage,
  wallMsOf: (revision: number) => number,
): Shape | null {
  if (message.type === 'event') {
    const { kind, ref, revision } = message.event;
    const timestamp = new Date(wallMsOf(revision)).toISOString();
    return { event: kind, ...keyToJson(ref.key), tenant: ref.tenant, timestamp };
  }
  if (message.type !== 'lagged' && message.type !== 'compacted') return null;
  return { event: message.type, key: null, tenant: null, timestamp: null };
}
