/** What a request does, as rules name it. */
export const ACTIONS = [
  'data:read',
  'data:write',
  'data:watch',
  'index:read',
  'index:write',
  'lease:read',
  'lease:write',
  'status:read',
  'admin:read',
  'admin:write',
] as const;
export type Action = (typeof ACTIONS)[number];

/** What it does that to. `name`: of a key, or of a bucket with the object's key behind a slash; of the cluster ''. */
export interface Resource {
  readonly tenant: string;
  readonly kind: 'key' | 'bucket' | 'cluster';
  readonly name: string;
}

/** Holds for resources of the principal's own tenant. */
export interface Rule {
  readonly effect: 'allow' | 'deny';
  /** Actions, or `*`, or all of one family: `data:*`. */
  readonly actions: readonly string[];
  /** Any of these: of that kind, `*` for all, with names that begin so. */
  readonly resources: readonly { readonly kind: Resource['kind'] | '*'; readonly prefix: string }[];
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
  | 'other_tenant'
  | 'denied_by_rule'
  | 'no_rule';

/** Whether they may, and why not. Denied by default; a rule that denies goes before all that allow. Pure. */
export function decide(
  principal: Principal,
  action: Action,
  resource: Resource,
  { wallMs }: Conditions,
): Reason {
  if (principal.isRevoked) return 'revoked';
  if (principal.expiresAtMs !== null && principal.expiresAtMs <= wallMs) return 'expired';
  if (principal.tenant !== resource.tenant) return 'other_tenant';
  let isAllowed = false;
  for (const rule of principal.rules) {
    if (!applies(rule, action, resource)) continue;
    if (rule.effect === 'deny') return 'denied_by_rule';
    isAllowed = true;
  }
  return isAllowed ? 'allowed' : 'no_rule';
}

function applies({ actions, resources }: Rule, action: Action, { kind, name }: Resource): boolean {
  const family = `${action.slice(0, action.indexOf(':'))}:*`;
  if (!actions.some((one) => one === action || one === '*' || one === family)) return false;
  return resources.some(
    (one) => (one.kind === '*' || one.kind === kind) && name.startsWith(one.prefix),
  );
}

const EVERYTHING = [{ kind: '*', prefix: '' }] as const;

/** The roles that are always there, as rules. */
export const ROLES = {
  admin: [{ effect: 'allow', actions: ['*'], resources: EVERYTHING }],
  read_write: [
    {
      effect: 'allow',
      actions: ['data:*', 'lease:*', 'index:read', 'status:read'],
      resources: EVERYTHING,
    },
  ],
  read_only: [
    {
      effect: 'allow',
      actions: ['data:read', 'data:watch', 'lease:read', 'index:read', 'status:read'],
      resources: EVERYTHING,
    },
  ],
} as const satisfies Record<string, readonly Rule[]>;

export type Role = keyof typeof ROLES;

export function isRole(text: string): text is Role {
  return Object.hasOwn(ROLES, text);
}
