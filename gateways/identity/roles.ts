import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Identities } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { isBuiltInRole, ROLES } from './decision.ts';
import {
  encodeRoleRow,
  isOwnRoleName,
  nameOfRoleRow,
  parseRoleRow,
  type RoleRecord,
  type RoleRule,
  roleRowName,
  shownRules,
} from './role.ts';

export interface ShownRole {
  readonly name: string;
  readonly builtIn: boolean;
  readonly description: string;
  readonly rules: readonly RoleRule[];
  /** Unix ms; null: it is built in. */
  readonly changedAtMs: number | null;
}

const ATTEMPTS_MAX = 16;
const DESCRIPTIONS: Readonly<Record<keyof typeof ROLES, string>> = {
  admin: 'everything',
  read_write: 'data, leases and locks, and what is theirs in S3',
  read_only: 'the same, without changing it',
};

/** Makes, shows and ends roles of one's own. What is answered holds on every node from then on. */
export class Roles {
  readonly #identities: Identities;
  readonly #clock: Pick<Clock, 'wallMs'>;

  constructor({ identities, clock }: { identities: Identities; clock: Pick<Clock, 'wallMs'> }) {
    this.#identities = identities;
    this.#clock = clock;
  }

  /** The built-in ones, then one's own by name. */
  async list(ctx: RequestContext): Promise<readonly ShownRole[]> {
    await this.#identities.renewed(ctx.deadlineMs);
    const own = this.#identities.rows(roleRowName('')).flatMap(({ name, text }) => {
      const record = parseRoleRow(text);
      return record === null ? [] : [shownRole(nameOfRoleRow(name), record)];
    });
    return [...Object.keys(ROLES).filter(isBuiltInRole).map(builtIn), ...own];
  }

  /** Rejects with `not_found`. */
  async get(ctx: RequestContext, name: string): Promise<ShownRole> {
    if (isBuiltInRole(name)) return builtIn(name);
    await this.#identities.renewed(ctx.deadlineMs);
    const { record } = this.#read(name);
    if (record === null) throw noSuchRole();
    return shownRole(name, record);
  }

  /**
   * Makes it, or replaces its rules: whoever has it is judged by the new ones once this has resolved. Rejects with
   * `invalid_argument` for a name that cannot be a role's, and with `too_large` where there are rolesMax.
   */
  async put(
    ctx: RequestContext,
    name: string,
    wanted: Pick<RoleRecord, 'description' | 'rules'>,
  ): Promise<ShownRole> {
    checkName(name);
    const record = { ...wanted, changedAtMs: this.#clock.wallMs() };
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const own = (await this.list(ctx)).filter((role) => !role.builtIn);
      if (own.length >= LIMITS.rolesMax && !own.some((role) => role.name === name)) {
        const details = { limit: 'rolesMax', max: LIMITS.rolesMax };
        throw new AppError('too_large', `there are rolesMax roles, ${LIMITS.rolesMax}`, {
          details,
        });
      }
      const { revision } = this.#read(name);
      const row = { name: roleRowName(name), text: encodeRoleRow(record), revision };
      if (await this.#identities.put(ctx, row)) return shownRole(name, record);
    }
    throw busy();
  }

  /** Once this has resolved, it allows nobody anything, until one of the name is made again. Rejects with `not_found`. */
  async delete(ctx: RequestContext, name: string): Promise<void> {
    checkName(name);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      await this.#identities.renewed(ctx.deadlineMs);
      const { record, revision } = this.#read(name);
      if (record === null) throw noSuchRole();
      const row = { name: roleRowName(name), text: encodeRoleRow(null), revision };
      if (await this.#identities.put(ctx, row)) return;
    }
    throw busy();
  }

  #read(name: string): { readonly record: RoleRecord | null; readonly revision: number } {
    const row = isOwnRoleName(name) ? this.#identities.row(roleRowName(name)) : null;
    if (row === null) return { record: null, revision: 0 };
    return { record: parseRoleRow(row.text), revision: row.revision };
  }
}

function builtIn(name: keyof typeof ROLES): ShownRole {
  const shown = { description: DESCRIPTIONS[name], rules: shownRules(ROLES[name]) };
  return { name, builtIn: true, ...shown, changedAtMs: null };
}

function shownRole(name: string, { description, rules, changedAtMs }: RoleRecord): ShownRole {
  return { name, builtIn: false, description, rules, changedAtMs };
}

function checkName(name: string): void {
  if (isBuiltInRole(name)) {
    throw new AppError('invalid_argument', `the role ${name} is built in, and stays as it is`);
  }
  if (isOwnRoleName(name)) return;
  const form = 'the name of a role must have 1 to 63 letters, digits, _ and -';
  throw new AppError('invalid_argument', form);
}

function noSuchRole(): AppError {
  return new AppError('not_found', 'there is no such role');
}

function busy(): AppError {
  return new AppError('conflict', 'others are changing this role');
}
