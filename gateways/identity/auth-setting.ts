import { AppError } from '../../protocol/errors.ts';
import type { Identities } from '../../protocol/identities.ts';
import type { RequestContext } from '../../protocol/service.ts';

const ROW = 'setting/auth';
const ATTEMPTS_MAX = 16;

/**
 * Whether the cluster asks for credentials, as a row that all nodes see: one that was started to ask nobody would else let
 * everybody past what the others ask for.
 */
export class AuthSetting {
  readonly #identities: Identities;

  constructor(identities: Identities) {
    this.#identities = identities;
  }

  /** As of this call. Rejects with `unavailable` where the meta group does not answer in time. */
  async isRequired(deadlineMs: number): Promise<boolean> {
    await this.#identities.renewed(deadlineMs);
    return this.#known();
  }

  /** Rejects with `conflict`, `unavailable` and `outcome_unknown`; may be repeated. */
  async setRequired(ctx: RequestContext, isRequired: boolean): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      if ((await this.isRequired(ctx.deadlineMs)) === isRequired) return;
      const revision = this.#identities.row(ROW)?.revision ?? 0;
      const row = { name: ROW, text: JSON.stringify({ v: 1, isRequired }), revision };
      if (await this.#identities.put(ctx, row)) return;
    }
    throw new AppError('conflict', 'others are changing whether credentials are asked for');
  }

  #known(): boolean {
    const row = this.#identities.row(ROW);
    if (row === null) return false;
    const { v, isRequired } = JSON.parse(row.text) as { v: number; isRequired: boolean };
    if (v !== 1) throw new Error(`a setting of version ${v}`);
    return isRequired;
  }
}
