import { textOrNull } from '../../protocol/bytes.ts';
import type { Item } from '../../protocol/messages/request.ts';
import { decimal } from '../http/decimal.ts';
import { itemToJson, type ShownPage } from './shapes.ts';

/** Keys that JSON shows as they are. */
const PLAIN_KEY = /^[ !#-[\]-~]*$/;

/**
 * What JSON.stringify makes of itemToJson. Plain items, as nearly all are, are written without a shape, and
 * revisions without V8's way of formatting doubles.
 */
export function itemText(item: Item, values: boolean): string {
  const { key } = item.ref;
  if (item.expiresAtMs !== null || item.lease || !PLAIN_KEY.test(key)) {
    return JSON.stringify(itemToJson(item, { values }));
  }
  let shown = '';
  if (values) {
    const text = textOrNull(item.value);
    if (text === null) return JSON.stringify(itemToJson(item, { values }));
    shown = `"value":${JSON.stringify(text)},`;
  }
  const { contentType } = item;
  const type = contentType === null ? '' : `,"contentType":${JSON.stringify(contentType)}`;
  const [revision, created] = [decimal(item.revision), decimal(item.createRevision)];
  return `{"key":"${key}",${shown}"revision":${revision},"createRevision":${created},"version":${item.version}${type}}`;
}

/** What JSON.stringify makes of pageToJson. */
export function pageText({ page, cursor, lowered }: ShownPage, values: boolean): string {
  let items = '';
  for (let i = 0; i < page.items.length; i++) {
    const text = itemText(page.items[i] as Item, values);
    items = i === 0 ? text : `${items},${text}`;
  }
  const rest = cursor === null ? {} : { cursor };
  const end = JSON.stringify({ ...rest, revision: page.revision, ...lowered });
  return `{"items":[${items}],${end.slice(1)}`;
}
