import { AppError } from '../../protocol/errors.ts';
import type { KeyRow, KeyRows } from '../../protocol/key-rows.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { META_GROUP } from '../../protocol/types.ts';
import type { Calls } from './calls.ts';
import { readOptions } from './options.ts';

const PREFIX = 'key/';
const LIST_ROWS = 256;

/** Rows of encryption keys, in the meta group. They are few, and are read seldom: edges remember them. */
export class RoutedKeyRows implements KeyRows {
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  async get(ctx: RequestContext, id: string): Promise<KeyRow | null> {
    const body = { type: 'MetaCheck' as const, rows: [{ name: PREFIX + id, revision: 0 }] };
    const options = readOptions(ctx, 'leader');
    const { changed } = await this.#calls.call(META_GROUP, body, 'MetaChecked', options);
    const [row] = changed;
    return row === undefined ? null : { id, text: row.json, revision: row.revision };
  }

  async list(ctx: RequestContext): Promise<readonly KeyRow[]> {
    const found: KeyRow[] = [];
    for (let after = ''; ; ) {
      const body = { type: 'MetaList' as const, prefix: PREFIX, after, limit: LIST_ROWS };
      const options = readOptions(ctx, 'leader');
      const page = await this.#calls.call(META_GROUP, body, 'MetaListed', options);
      for (const { name, json, revision } of page.rows) {
        after = name;
        found.push({ id: name.slice(PREFIX.length), text: json, revision });
      }
      if (!page.more) return found;
    }
  }

  async put(ctx: RequestContext, { id, text, revision }: KeyRow): Promise<boolean> {
    const put = { name: PREFIX + id, json: text, ifRevision: revision };
    const options = { deadlineMs: ctx.deadlineMs, ...TO_LEADER };
    try {
      await this.#calls.call(META_GROUP, { type: 'MetaPut', ...put }, 'Done', options);
      return true;
    } catch (error) {
      if (error instanceof AppError && error.code === 'precondition_failed') return false;
      throw error;
    }
  }
}

const TO_LEADER = { traceparent: null, target: 'leader', repeatable: false } as const;
