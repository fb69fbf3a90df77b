import { PREFIX_LENGTH } from './keyspace.ts';

const FEED_KIND = 'f'.charCodeAt(0);
const HISTORY_KIND = 'h'.charCodeAt(0);

/** Whether rows of this key's kind are read by ranges, and by their keys only now and then: the feed and history. */
export function isReadInOrder(key: string): boolean {
  const kind = key.charCodeAt(PREFIX_LENGTH);
  return kind === FEED_KIND || kind === HISTORY_KIND;
}
