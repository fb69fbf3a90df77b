import { prefixEnd } from '../../protocol/bytes.ts';

/** What a request does, as rules name it. `data` are keys and objects; `bucket` is how a bucket is set up. */
export const ACTIONS = [
  'data:read',
  'data:write',
  'data:watch',
  'index:read',
  'index:write',
  'lease:read',
  'lease:write',
  'bucket:read',
  'bucket:write',
  'status:read',
  'identity:read',
  'identity:write',
  'admin:read',
  'admin:write',
] as const;
export type Action = (typeof ACTIONS)[number];

/** Latin1 bytes. `name`: of a key, or of a bucket with a slash and the object's key behind it, if it is one; of the cluster ''. */
export interface Resource {
  readonly tenant: string;
  readonly kind: 'key' | 'bucket' | 'cluster';
  readonly name: string;
}

/** All names of [start, end), whether they are there or not; `end` null is open. */
export interface ResourceRange extends Omit<Resource, 'name'> {
  readonly start: string;
  readonly end: string | null;
}

/** Holds for resources of the principal's own tenant. */
export interface Rule {
  readonly effect: 'allow' | 'deny';
  /** Actions, or `*`, or all of one family: `data:*`. */
  readonly actions: readonly string[];
  /** Any of these. */
  readonly resources: readonly Selector[];
}

/** Of that kind, `*` for all, with names that begin so. */
export interface Selector {
  readonly kind: Resource['kind'] | '*';
  /** Latin1 bytes. */
  readonly prefix: string;
  /** Only of this tenant; missing: of any. */
  readonly tenant?: string;
}

/** Who sends a request. */
export interface Principal {
  /** `key:<id>`, `admin`, or `anonymous`. */
  readonly id: string;
  readonly tenant: string;
  readonly rules: readonly Rule[];
  readonly isRevoked: boolean;
  /** Unix ms; null: never. */
  readonly expiresAtMs: number | null;
}

export interface Conditions {
  /** Unix ms. */
  readonly wallMs: number;
}

export type Reason =
  | 'allowed'
  | 'revoked'
  | 'expired'
  | 'suspended'
  | 'no_tenant'
  | 'other_tenant'
  | 'denied_by_rule'
  | 'no_rule';

/** Whether they may, and why not. Denied by default; a rule that denies goes before all that allow. Pure. */
export function decide(
  principal: Principal,
  action: Action,
  resource: Resource,
  conditions: Conditions,
): Reason {
  const { tenant, kind, name } = resource;
  return (
    standing(principal, tenant, conditions) ??
    judged(principal.rules, action, (one) => {
      return selects(one, tenant, kind) && name.startsWith(one.prefix) ? 'whole' : 'none';
    })
  );
}

/**
 * The same of every name of a range. One rule's prefix has to hold all of it, and none that denies any: a range that
 * is allowed in pieces is not allowed.
 */
export function decideRange(
  principal: Principal,
  action: Action,
  { tenant, kind, start, end }: ResourceRange,
  conditions: Conditions,
): Reason {
  return (
    standing(principal, tenant, conditions) ??
    judged(principal.rules, action, (one) => {
      if (!selects(one, tenant, kind)) return 'none';
      const { prefix } = one;
      const last = prefixEnd(prefix);
      const isWithin = last === null || (end !== null && end <= last);
      if (isWithin && start.startsWith(prefix)) return 'whole';
      return (end === null || prefix < end) && (last === null || start < last) ? 'part' : 'none';
    })
  );
}

/** Whether there is a name of these kinds at all for which they may; which one is asked later. */
export function decideSomewhere(
  principal: Principal,
  action: Action,
  { tenant, kinds }: { readonly tenant: string; readonly kinds: readonly Resource['kind'][] },
  conditions: Conditions,
): Reason {
  const refusal = standing(principal, tenant, conditions);
  if (refusal !== null) return refusal;
  const prefixesOf = (effect: Rule['effect'], kind: Resource['kind']): string[] =>
    principal.rules
      .filter((rule) => rule.effect === effect && names(rule, action))
      .flatMap(({ resources }) => resources.filter((one) => selects(one, tenant, kind)))
      .map(({ prefix }) => prefix);
  let isNamed = false;
  for (const kind of kinds) {
    const allowed = prefixesOf('allow', kind);
    const denied = prefixesOf('deny', kind);
    if (allowed.some((one) => !denied.some((all) => one.startsWith(all)))) return 'allowed';
    isNamed ||= allowed.length > 0;
  }
  return isNamed ? 'denied_by_rule' : 'no_rule';
}

/** Why they may nothing at all there; null: their rules say. */
export function standing(
  { isRevoked, expiresAtMs, tenant: own }: Principal,
  tenant: string,
  { wallMs }: Conditions,
): Reason | null {
  if (isRevoked) return 'revoked';
  if (expiresAtMs !== null && expiresAtMs <= wallMs) return 'expired';
  return own === tenant ? null : 'other_tenant';
}

/** `cover`: how much of what is asked about a selector holds. What denies a part denies the whole. */
function judged(
  rules: readonly Rule[],
  action: Action,
  cover: (one: Selector) => 'whole' | 'part' | 'none',
): Reason {
  let isAllowed = false;
  for (const rule of rules) {
    if (!names(rule, action)) continue;
    if (rule.effect === 'deny') {
      if (rule.resources.some((one) => cover(one) !== 'none')) return 'denied_by_rule';
    } else if (!isAllowed) isAllowed = rule.resources.some((one) => cover(one) === 'whole');
  }
  return isAllowed ? 'allowed' : 'no_rule';
}

function names({ actions }: Rule, action: Action): boolean {
  return actions.some((one) => one === action || one === '*' || one === FAMILIES[action]);
}

function selects({ kind: own, tenant: of }: Selector, tenant: string, kind: string): boolean {
  return (own === '*' || own === kind) && (of === undefined || of === tenant);
}

function familyOf(action: Action): string {
  return `${action.slice(0, action.indexOf(':'))}:*`;
}

const FAMILIES = Object.fromEntries(ACTIONS.map((one) => [one, familyOf(one)])) as Readonly<
  Record<Action, string>
>;

const EVERYTHING = [{ kind: '*', prefix: '' }] as const;

/** The roles that are always there, as rules. */
export const ROLES = {
  admin: [{ effect: 'allow', actions: ['*'], resources: EVERYTHING }],
  read_write: [
    {
      effect: 'allow',
      actions: ['data:*', 'bucket:*', 'lease:*', 'index:read', 'status:read'],
      resources: EVERYTHING,
    },
  ],
  read_only: [
    {
      effect: 'allow',
      actions: [
        ...['data:read', 'data:watch', 'bucket:read'],
        ...['lease:read', 'index:read', 'status:read'],
      ],
      resources: EVERYTHING,
    },
  ],
} as const satisfies Record<string, readonly Rule[]>;

export type BuiltInRole = keyof typeof ROLES;

export function isBuiltInRole(text: string): text is BuiltInRole {
  return Object.hasOwn(ROLES, text);
}
