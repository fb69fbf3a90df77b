import { compose } from '../../cli/compose.ts';
import { loadConfig } from '../../cli/config.ts';
import type { Failure } from './decoders.ts';
import { pickOf } from './mutate.ts';
import { checkAnswer, exchange, type FuzzedRequest, requestBytes } from './requests/exchange.ts';
import { drawRequest, type OpenApi, type Route, routesOf } from './requests/openapi-requests.ts';
import { drawS3Request, sign } from './requests/s3-requests.ts';

/** A node that everything is asked of. */
export interface FuzzedNode {
  readonly name: string;
  readonly httpUrl: string;
  readonly s3Url: string;
  readonly routes: readonly Route[];
  /** `Authorization` headers: of an administrator, of one who may only read, wrong ones, none. */
  readonly credentials: readonly string[];
  readonly keys: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
  readonly secrets: readonly string[];
  stop(): Promise<void>;
}

const ADMIN = `mkv_admin_${'f'.repeat(43)}`;
const KEYS = { accessKeyId: 'FUZZKEY', secretAccessKey: 'fuzz-secret-of-s3' };
const ROOT_KEY = '5a'.repeat(32);

/** A real node of this process, which keeps everything in memory. */
export async function startFuzzedNode(withAuth: boolean): Promise<FuzzedNode> {
  const env: Record<string, string> = { MINIKV_ENCRYPTION_ROOT_KEY: ROOT_KEY };
  if (withAuth) {
    env['MINIKV_AUTH_ADMIN_KEY'] = ADMIN;
    env['MINIKV_S3_ACCESS_KEY'] = KEYS.accessKeyId;
    env['MINIKV_S3_SECRET_KEY'] = KEYS.secretAccessKey;
  }
  const flags = {
    ephemeral: true,
    port: '0',
    'log-level': 'silent',
    ...(withAuth ? { auth: true } : {}),
  };
  const { config } = loadConfig({ flags, env, readFile: () => '' });
  const node = await compose(config);
  await node.ready;
  const { httpUrl } = node;
  const s3Url = node.s3.url;
  const bearer = withAuth ? `Bearer ${ADMIN}` : '';
  const document = await askJson<OpenApi>(httpUrl, 'GET', '/openapi.json', bearer);
  const credentials = withAuth ? [bearer, await readerOf(httpUrl, bearer), ...WRONG, ''] : [];
  const fuzzed: FuzzedNode = {
    name: withAuth ? 'with --auth' : 'without --auth',
    ...{ httpUrl, s3Url: s3Url as string, credentials, keys: withAuth ? KEYS : null },
    routes: routesOf(document).filter((route) => isAsked(route, withAuth)),
    secrets: [ROOT_KEY, KEYS.secretAccessKey, process.cwd()],
    stop: () => node.stop(),
  };
  for (const bucket of ['fuzz-a', 'fuzz-b', 'fuzz-locked']) await makeBucket(fuzzed, bucket);
  return fuzzed;
}

const WRONG = [
  'Bearer mkv_abcdefgh_x',
  'Bearer a.b.c',
  'Basic eA==',
  'Bearer',
  `Bearer ${'x'.repeat(3000)}`,
];

/** A node without --auth that is told to ask for credentials serves nobody from then on. */
function isAsked({ method, path }: Route, withAuth: boolean): boolean {
  return withAuth || !(method === 'PUT' && path === '/admin/auth');
}

async function readerOf(url: string, bearer: string): Promise<string> {
  const body = { name: 'reader', role: 'read_only' };
  const made = await askJson<{ key: string }>(url, 'POST', '/admin/keys', bearer, body);
  return `Bearer ${made.key}`;
}

async function askJson<T>(
  url: string,
  method: string,
  path: string,
  bearer: string,
  body?: unknown,
): Promise<T> {
  const headers = { authorization: bearer, 'content-type': 'application/json' };
  const init =
    body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
  const answer = await fetch(`${url}${path}`, init);
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** With an object in it. */
async function makeBucket({ s3Url, keys }: FuzzedNode, bucket: string): Promise<void> {
  for (const [target, body] of [
    [`/${bucket}`, null],
    [`/${bucket}/a`, Buffer.from('abc')],
  ] as const) {
    const headers: Record<string, string> = { host: new URL(s3Url).host };
    if (body === null && bucket.endsWith('locked')) {
      headers['x-amz-bucket-object-lock-enabled'] = 'true';
    }
    if (keys !== null) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
    const signed = keys === null ? headers : await sign(keys, 'PUT', target, {}, headers);
    const bytes = requestBytes('PUT', target, Object.entries(signed), body);
    const { status } = await exchange(s3Url, { name: target, method: 'PUT', bytes });
    if (status !== 200) throw new Error(`PUT ${target}: ${status}`);
  }
}

export interface RouteRun {
  readonly cases: number;
  /** How many were answered with each status. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly failure: Failure | null;
}

/** Asks with the requests of `seed` and those after it, several at once. Ends at the first answer that must not be. */
export async function fuzzRoutes(
  node: FuzzedNode,
  kind: 'REST' | 'S3',
  bounds: { readonly seed: number; readonly cases: number; readonly untilMs: number },
): Promise<RouteRun> {
  const statuses = new Map<number, number>();
  let cases = 0;
  let failure: Failure | null = null;
  const ask = async (): Promise<void> => {
    while (failure === null && cases < bounds.cases && performance.now() < bounds.untilMs) {
      const seed = bounds.seed + cases++;
      const request = await requestOf(node, kind, seed);
      try {
        const answer = await exchange(kind === 'S3' ? node.s3Url : node.httpUrl, request);
        checkAnswer(answer, node.secrets);
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      } catch (error) {
        const why = `${request.name}\n${(error as Error).message}`;
        const target = `${kind} ${node.name}`;
        failure ??= { target, seed, input: request.bytes.toString('hex'), why };
      }
    }
  };
  await Promise.all([ask(), ask(), ask()]);
  return { cases, statuses, failure };
}

/** A function of the node's routes and the seed, but for names that the node drew, and the time of a signature. */
async function requestOf(
  node: FuzzedNode,
  kind: 'REST' | 'S3',
  seed: number,
): Promise<FuzzedRequest> {
  const pick = pickOf(seed, kind);
  if (kind === 'REST') return drawRequest(node.routes, node.credentials, pick);
  return drawS3Request({ url: node.s3Url, keys: node.keys }, seed, pick);
}
