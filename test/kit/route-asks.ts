import type { Action } from '../../gateways/identity/decision.ts';

/** How each route is asked about a name, and what an own role says of that: in words of its own, and not by the decision. */

export interface OwnRole {
  readonly actions: readonly Action[];
  /** Of keys. */
  readonly allowed: readonly string[];
  readonly denied: readonly string[];
  readonly cluster?: readonly Action[];
}

/** What a request is about. `bucket`: none of these roles speaks of one. */
export type About =
  | { readonly name: string }
  | { readonly prefix: string }
  | { readonly bucket: true }
  | { readonly anything: true };

export interface Ask {
  readonly path: string;
  readonly body?: string | object;
  readonly accept?: string;
  readonly needs: readonly (readonly [Action, About])[];
}

/** The oracle: in words of the table above, and not by the decision. */
export function may(role: OwnRole, [action, about]: Ask['needs'][number]): boolean {
  if (!role.actions.includes(action) || 'bucket' in about) return false;
  if ('anything' in about) return role.allowed.length > 0;
  if ('name' in about) {
    const { name } = about;
    const isIn = (prefix: string) => name.startsWith(prefix);
    return role.allowed.some(isIn) && !role.denied.some(isIn);
  }
  const { prefix } = about;
  const overlaps = (other: string) => prefix.startsWith(other) || other.startsWith(prefix);
  return role.allowed.some((one) => prefix.startsWith(one)) && !role.denied.some(overlaps);
}

/** Names of indexes, and the prefixes they are defined for. */
export const INDEXES: Readonly<Record<string, string>> = {
  in: 'in/',
  secret: 'in/secret/',
  all: '',
};

export const folderOf = (name: string) => name.slice(0, name.lastIndexOf('/') + 1);

/** How each route is asked about a name. A new route that names data has to be here. */
export function routeAsks(
  leases: ReadonlyMap<string, number>,
): Readonly<Record<string, (name: string) => readonly Ask[]>> {
  const read = (about: About): Ask['needs'][number] => ['data:read', about];
  const write = (about: About): Ask['needs'][number] => ['data:write', about];
  const all = { prefix: '' };
  const one = (prefix: string, action: Action) => (name: string) => [
    { path: prefix + encodeURIComponent(name), body: 'x', needs: [[action, { name }]] as const },
  ];
  const ops = (name: string) => [
    { op: { op: 'put', key: name, value: 'v' }, need: write({ name }) },
    { op: { op: 'get', key: name }, need: read({ name }) },
    { op: { op: 'delete', key: name }, need: write({ name }) },
    { op: { op: 'range', prefix: folderOf(name) }, need: read({ prefix: folderOf(name) }) },
  ];
  const inTxn = (name: string) => [
    ...ops(name),
    {
      op: { op: 'delete', prefix: folderOf(name) },
      need: write({ prefix: folderOf(name) }),
    },
    { op: { op: 'headObject', bucket: 'abc', key: name }, need: read({ bucket: true }) },
    { op: { op: 'deleteObject', bucket: 'abc', key: name }, need: write({ bucket: true }) },
  ];
  const own = { op: 'put', key: 'in/own', value: 'v' };
  const lock =
    (action: Action, query = '') =>
    (name: string): readonly Ask[] => [
      {
        path: `/v1/locks/${encodeURIComponent(name)}${query}`,
        body: { lease: leases.get('own') },
        needs: [[action, { name: `_locks/${name}` }]],
      },
    ];
  const lease =
    (action: Action, end = '') =>
    () => [
      {
        path: `/v1/leases/${leases.get('own')}${end}`,
        needs: [[action, { anything: true }]] as const,
      },
    ];
  return {
    'GET /v1/kv/:key': one('/v1/kv/', 'data:read'),
    'HEAD /v1/kv/:key': one('/v1/kv/', 'data:read'),
    'PUT /v1/kv/:key': one('/v1/kv/', 'data:write'),
    'DELETE /v1/kv/:key': one('/v1/kv/', 'data:write'),
    'GET /:key': one('/', 'data:read'),
    'HEAD /:key': one('/', 'data:read'),
    'PUT /:key': one('/', 'data:write'),
    'POST /:key': one('/', 'data:write'),
    'DELETE /:key': one('/', 'data:write'),
    'GET /v1/kv': (name) => {
      const prefix = folderOf(name);
      const path = `/v1/kv?prefix=${encodeURIComponent(prefix)}`;
      const within = `/v1/kv?start=${encodeURIComponent(prefix)}a&end=${encodeURIComponent(prefix)}b`;
      return [
        { path, needs: [read({ prefix })] },
        { path: `${path}&reverse=true&limit=1`, needs: [read({ prefix })] },
        { path, accept: 'application/x-ndjson', needs: [read({ prefix })] },
        { path: '/v1/kv?start=a', needs: [read(all)] },
        // Between two names of one folder there is no other folder.
        { path: within, needs: [read({ prefix: `${prefix}a` })] },
        { path: '/v1/kv', needs: [read(all)] },
      ];
    },
    'HEAD /v1/kv': (name) => [
      { path: `/v1/kv?prefix=${folderOf(name)}`, needs: [read({ prefix: folderOf(name) })] },
    ],
    'DELETE /v1/kv': (name) => [
      { path: `/v1/kv?prefix=${folderOf(name)}`, needs: [write({ prefix: folderOf(name) })] },
    ],
    'POST /v1/batch': (name) =>
      ops(name).flatMap(({ op, need }) => [
        { path: '/v1/batch', body: { ops: [op] }, needs: [need] },
        { path: '/v1/batch', body: { ops: [own, op] }, needs: [need, write({ name: 'in/own' })] },
      ]),
    'POST /batch': (name) =>
      ops(name)
        .slice(0, 3)
        .map(({ op, need }) => ({ path: '/batch', body: { ops: [op] }, needs: [need] })),
    'POST /v1/txn': (name) => [
      ...inTxn(name).flatMap(({ op, need }) => [
        { path: '/v1/txn', body: { then: [op] }, needs: [need] },
        {
          ...{ path: '/v1/txn', needs: [need, write({ name: 'in/own' })] },
          body: { compare: [], then: [own], else: [op] },
        },
      ]),
      {
        ...{ path: '/v1/txn', needs: [read({ name }), write({ name: 'in/own' })] },
        body: { compare: [{ key: name, exists: true }], then: [own], else: [] },
      },
      {
        ...{ path: '/v1/txn', needs: [read({ bucket: true })] },
        body: { compare: [{ object: { bucket: 'abc', key: name }, exists: false }], then: [] },
      },
    ],
    'POST /transaction': (name) => [
      {
        ...{ path: '/transaction', needs: [write({ name })] },
        body: { operations: [{ op: 'put', key: name, value: 'v' }] },
      },
    ],
    'GET /range': (name) => {
      const prefix = folderOf(name);
      const path = `/range?start=${encodeURIComponent(prefix)}&end=${encodeURIComponent(prefix)}zz`;
      return [
        { path, needs: [read({ prefix })] },
        { path: '/range', needs: [read(all)] },
      ];
    },
    'HEAD /range': () => [{ path: '/range', needs: [read(all)] }],
    'GET /v1/search': (name) => [
      {
        path: `/v1/search?q=abc&prefix=${folderOf(name)}`,
        needs: [read({ prefix: folderOf(name) })],
      },
      { path: '/v1/search?q=abc', needs: [read(all)] },
    ],
    'HEAD /v1/search': () => [{ path: '/v1/search?q=abc', needs: [read(all)] }],
    'GET /search': () => [{ path: '/search?value=abc', needs: [read(all)] }],
    'HEAD /search': () => [{ path: '/search?value=abc', needs: [read(all)] }],
    'GET /v1/indexes/:name/query': () => [
      ...Object.entries(INDEXES).map(([index, prefix]) => ({
        ...{ path: `/v1/indexes/${index}/query?eq=1`, needs: [read({ prefix })] },
      })),
      { path: '/v1/indexes/none/query?eq=1', needs: [read(all)] },
    ],
    'HEAD /v1/indexes/:name/query': () => [
      { path: '/v1/indexes/all/query?eq=1', needs: [read(all)] },
    ],
    'GET /v1/watch': (name) => {
      const prefix = folderOf(name);
      const path = `/v1/watch?prefix=${prefix}`;
      const watched: Ask['needs'][number] = ['data:watch', { prefix }];
      return [
        { path, needs: [watched] },
        { path: `${path}&initial=true`, needs: [watched, read({ prefix })] },
        { path: `${path}&prev=true`, needs: [watched, read({ prefix })] },
        { path: '/v1/watch', needs: [['data:watch', all]] },
        {
          path: `/v1/watch?bucket=abc&prefix=${prefix}`,
          needs: [['data:watch', { bucket: true }]],
        },
      ];
    },
    'GET /watch/sse': () => [{ path: '/watch/sse', needs: [['data:watch', all]] }],
    // Without an upgrade it tells nothing.
    'GET /watch/ws': () => [{ path: '/watch/ws', needs: [['data:watch', { anything: true }]] }],
    'GET /v1/leases': () => [{ path: '/v1/leases', needs: [['lease:read', all]] }],
    'HEAD /v1/leases': () => [{ path: '/v1/leases', needs: [['lease:read', all]] }],
    'POST /v1/leases': () => [
      ...[{ path: '/v1/leases', body: { ttlSeconds: 60 } }].map((ask) => ({
        ...ask,
        needs: [['lease:write', { anything: true }]] as const,
      })),
    ],
    'GET /v1/leases/:id': lease('lease:read'),
    'HEAD /v1/leases/:id': lease('lease:read'),
    'POST /v1/leases/:id/keepalive': lease('lease:write', '/keepalive'),
    'DELETE /v1/leases/:id': (name) => [
      { path: `/v1/leases/${leases.get(name)}`, needs: [['lease:write', { name }]] },
    ],
    'GET /v1/locks': () => [{ path: '/v1/locks', needs: [['lease:read', { prefix: '_locks/' }]] }],
    'HEAD /v1/locks': () => [{ path: '/v1/locks', needs: [['lease:read', { prefix: '_locks/' }]] }],
    'GET /v1/locks/:name': lock('lease:read'),
    'HEAD /v1/locks/:name': lock('lease:read'),
    'POST /v1/locks/:name': lock('lease:write'),
    'DELETE /v1/locks/:name': lock('lease:write', '?token=1'),
    'GET /admin/export': () => [{ path: '/admin/export', needs: [read(all)] }],
    'HEAD /admin/export': () => [{ path: '/admin/export', needs: [read(all)] }],
    'POST /admin/import': (name) => [
      {
        ...{ path: '/admin/import', needs: [write({ name })] },
        body: { entries: [{ key: name, value: 'v' }] },
      },
    ],
  };
}
