import type { Action } from '../identity/decision.ts';

/** `public`: for everybody. `known`: for whoever has credentials. */
export type RouteRule = Action | 'public' | 'known';
type Rules = RouteRule | Readonly<Record<string, RouteRule>>;

const DATA = {
  GET: 'data:read',
  HEAD: 'data:read',
  PUT: 'data:write',
  POST: 'data:write',
  DELETE: 'data:write',
} as const;
const LEASES = {
  GET: 'lease:read',
  HEAD: 'lease:read',
  POST: 'lease:write',
  DELETE: 'lease:write',
} as const;
const INDEXES = {
  GET: 'index:read',
  HEAD: 'index:read',
  POST: 'index:write',
  DELETE: 'index:write',
} as const;
const IDENTITIES = {
  GET: 'identity:read',
  HEAD: 'identity:read',
  POST: 'identity:write',
  PATCH: 'identity:write',
  DELETE: 'identity:write',
} as const;
const ADMIN = {
  GET: 'admin:read',
  HEAD: 'admin:read',
  PUT: 'admin:write',
  POST: 'admin:write',
  PATCH: 'admin:write',
  DELETE: 'admin:write',
} as const;

/** A tenant's administrators see what their tenant may store. */
const QUOTAS = { ...ADMIN, GET: 'identity:read', HEAD: 'identity:read' } as const;

/**
 * What each route does, by its pattern. Where data has a name, the service of the request asks for that too (identity/guarded-store.ts). A batch and a transaction ask for the right to write, also where
 * they only read.
 */
export const ROUTE_RULES: Readonly<Record<string, Rules>> = {
  '/': 'public',
  '/health': 'public',
  '/health/live': 'public',
  '/health/ready': 'public',
  '/openapi.json': 'public',
  '/v1/limits': 'public',
  '/metrics': 'status:read',
  '/v1/kv': DATA,
  '/v1/kv/:key': DATA,
  '/v1/batch': DATA,
  '/v1/txn': DATA,
  '/v1/search': DATA,
  '/v1/auth/token': 'known',
  '/v1/watch': 'data:watch',
  '/v1/indexes': INDEXES,
  '/v1/indexes/:name': INDEXES,
  '/v1/indexes/:name/pause': INDEXES,
  '/v1/indexes/:name/resume': INDEXES,
  '/v1/indexes/:name/query': DATA,
  '/v1/leases': LEASES,
  '/v1/leases/:id': LEASES,
  '/v1/leases/:id/keepalive': LEASES,
  '/v1/locks': LEASES,
  '/v1/locks/:name': LEASES,
  '/:key': DATA,
  '/range': DATA,
  '/batch': DATA,
  '/transaction': DATA,
  '/search': DATA,
  '/watch/sse': 'data:watch',
  '/watch/ws': 'data:watch',
  '/admin/status': 'status:read',
  '/admin/state-hashes': ADMIN,
  '/admin/usage': ADMIN,
  '/admin/export': ADMIN,
  '/admin/import': ADMIN,
  '/admin/verify': ADMIN,
  '/admin/repair': ADMIN,
  '/admin/compact': ADMIN,
  '/admin/scale': ADMIN,
  '/admin/audit': ADMIN,
  '/admin/auth': ADMIN,
  '/admin/quotas': QUOTAS,
  '/admin/quotas/:scope': QUOTAS,
  '/admin/limits': ADMIN,
  '/admin/limits/:scope': ADMIN,
  '/admin/tenants': ADMIN,
  '/admin/tenants/:name': ADMIN,
  '/admin/tenants/:name/suspend': ADMIN,
  '/admin/tenants/:name/resume': ADMIN,
  '/admin/keys': IDENTITIES,
  '/admin/keys/:id': IDENTITIES,
  '/admin/keys/:id/revoke': IDENTITIES,
  '/admin/roles': ADMIN,
  '/admin/roles/:name': ADMIN,
  '/admin/certificates': ADMIN,
  '/admin/certificates/:id': ADMIN,
  '/admin/s3-users': IDENTITIES,
  '/admin/s3-users/:name': IDENTITIES,
  '/admin/s3-users/:name/disable': IDENTITIES,
  '/admin/s3-users/:name/enable': IDENTITIES,
  '/admin/s3-keys': IDENTITIES,
  '/admin/s3-keys/:id': IDENTITIES,
  '/admin/s3-keys/:id/revoke': IDENTITIES,
  '/admin/s3-keys/:id/disable': IDENTITIES,
  '/admin/s3-keys/:id/enable': IDENTITIES,
  '/admin/encryption-keys': ADMIN,
  '/admin/encryption-keys/rewrap': ADMIN,
  '/admin/encryption-keys/:id': ADMIN,
  '/admin/encryption-keys/:id/rotate': ADMIN,
  '/admin/encryption-keys/:id/enable': ADMIN,
  '/admin/encryption-keys/:id/disable': ADMIN,
  '/admin/data-keys': ADMIN,
  '/admin/data-keys/rotate': ADMIN,
  '/admin/data-keys/reload-root-key': ADMIN,
  // Only without an S3 endpoint, whose own requests are signed and do not come here.
  '/s3': 'known',
  '/s3/*': 'known',
};

/** What a request to the route needs; null: nobody has said, so it is the administrator's. `url` undefined: no route. */
export function ruleOf(method: string, url: string | undefined): RouteRule | null {
  if (url === undefined) return 'known';
  // Pages about the API, without any data.
  if (url === '/docs' || url.startsWith('/docs/')) return 'public';
  if (!Object.hasOwn(ROUTE_RULES, url)) return null;
  const rules = ROUTE_RULES[url] as Rules;
  if (typeof rules === 'string') return rules;
  return Object.hasOwn(rules, method) ? (rules[method] as RouteRule) : null;
}
