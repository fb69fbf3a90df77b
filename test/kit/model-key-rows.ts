import type { KeyRow, KeyRows } from '../../protocol/key-rows.ts';

/** The port KeyRows in memory. */
export class ModelKeyRows implements KeyRows {
  readonly rows = new Map<string, KeyRow>();
  /** Questions that were asked. */
  asked = 0;
  #clock = 0;

  async get(_ctx: unknown, id: string): Promise<KeyRow | null> {
    this.asked++;
    return this.rows.get(id) ?? null;
  }

  async list(): Promise<readonly KeyRow[]> {
    return [...this.rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async put(_ctx: unknown, { id, text, revision }: KeyRow): Promise<boolean> {
    if ((this.rows.get(id)?.revision ?? 0) !== revision) return false;
    this.rows.set(id, { id, text, revision: ++this.#clock });
    return true;
  }
}
