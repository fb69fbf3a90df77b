import { AppError } from '../../protocol/errors.ts';
import type { Identities, IdentityRow } from '../../protocol/identities.ts';

/** The port Identities in memory: every view is current, and a change holds at once. */
export class ModelIdentities implements Identities {
  readonly #rows = new Map<string, IdentityRow>();
  readonly #listeners = new Set<() => void>();
  #clock = 0;
  /** False: nobody confirms the view. */
  isConfirmed = true;

  isCurrent(): boolean {
    return this.isConfirmed;
  }

  revision(): number {
    return this.#clock;
  }

  row(name: string): IdentityRow | null {
    return this.#rows.get(name) ?? null;
  }

  rows(prefix: string): readonly IdentityRow[] {
    const found = [...this.#rows.values()].filter(({ name }) => name.startsWith(prefix));
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async current(): Promise<void> {
    if (!this.isConfirmed) throw new AppError('unavailable', 'nobody confirms the view');
  }

  renewed(): Promise<void> {
    return this.current();
  }

  async put(_ctx: unknown, { name, text, revision }: IdentityRow): Promise<boolean> {
    if ((this.#rows.get(name)?.revision ?? 0) !== revision) return false;
    this.#rows.set(name, { name, text, revision: ++this.#clock });
    for (const run of this.#listeners) run();
    return true;
  }

  async settled(): Promise<void> {}

  onConfirmed(run: () => void): () => void {
    this.#listeners.add(run);
    return () => this.#listeners.delete(run);
  }
}
