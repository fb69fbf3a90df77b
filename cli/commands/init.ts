import { access, chmod, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'smol-toml';
import type { TlsPair } from '../../gateways/http/tls.ts';
import { ADMIN_ID, apiKeyText, drawApiKey } from '../../gateways/identity/api-key.ts';
import { parseNodeId } from '../../protocol/types.ts';
import { CommandFailed, UsageError } from '../failures.ts';
import type { Io } from '../io.ts';
import { natsServerConfig, withUser } from '../nats-permissions.ts';
import { drawnRootKey } from '../root-keys.ts';
import { drawn } from '../s3-keys.ts';
import { keepSecret } from '../secret-file.ts';
import { nextCertificate } from '../tls-files.ts';

/** `minikv init`: files with which nodes start, with every secret drawn. Nothing that is there is written over. */

export interface InitFlags {
  readonly node?: readonly string[];
  readonly nats?: string;
  readonly host?: string;
  readonly at?: string;
  readonly auth?: boolean;
  readonly tls?: boolean;
  readonly renew?: boolean;
  readonly client?: readonly string[];
}

interface NewNode {
  readonly id: string;
  /** Host names and addresses that clients reach it by. */
  readonly names: readonly string[];
  /** Where its files are made, and where it will find them. */
  readonly folder: string;
  readonly at: string;
}

const CONFIG = 'minikv.toml';
const NATS_CONFIG = 'nats-server.conf';
/** As `cluster` has it where nothing is said. */
const CLUSTER = 'minikv';
const CERT = 'cert.pem';
const KEY = 'key.pem';
const CA = 'ca.pem';
const CA_KEY = 'ca-key.pem';
const SECRET_BYTES = 32;
const HTTP_PORT = 8080;
const LOCAL = ['localhost', '127.0.0.1', '::1'];
const CLIENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$|^[0-9A-Fa-f:]{2,39}$/;

export async function init(io: Io, target: string, flags: InitFlags): Promise<void> {
  const root = resolve(target);
  if (flags.renew === true) return renew(io, root);
  if (flags.client !== undefined) return clientCertificates(io, root, flags.client);
  const nodes = nodesOf(root, flags);
  const several = nodes.length > 1;
  if (several && flags.nats === undefined) {
    throw new UsageError('more than one node needs --nats <url,...> to reach the others');
  }
  await refuseOld(root, nodes);
  await mkdir(root, { recursive: true, mode: 0o700 });
  const tls = flags.tls === true ? await certificates(io, root, nodes) : null;
  const shared = {
    'initial-members': nodes.map(({ id }) => id),
    host: flags.host ?? (flags.auth === true && tls !== null ? '0.0.0.0' : '127.0.0.1'),
    ...(several ? { 'cluster-secret': drawnSecret(io) } : {}),
    ...(flags.auth === true ? { auth: true, 'auth-admin-key': drawnAdminKey(io) } : {}),
    ...s3Settings(io),
    'encryption-root-key': drawnRootKey(io.random),
  };
  const nats = flags.nats === undefined ? null : await natsUrls(io, root, nodes, flags.nats);
  for (const node of nodes) {
    const own = nats === null ? shared : { ...shared, nats: nats.get(node.id) };
    await write(node, own, tls?.get(node.id) ?? null);
  }
  await io.out(nextSteps(root, nodes, flags));
}

function nodesOf(root: string, { node = [], at }: InitFlags): NewNode[] {
  const asked = node.length > 0 ? node : [`n1=${hostname()}`];
  const nodes = asked.map((text): NewNode => {
    const [id = '', list = '', ...rest] = text.split('=');
    const names = list.split(',').filter((name) => name !== '');
    const isGood =
      parseNodeId(id) !== null && rest.length === 0 && names.every((n) => NAME.test(n));
    if (!isGood) {
      throw new UsageError(`--node must be <id>=<host name or address>,..., not "${text}"`);
    }
    const folder = join(root, id);
    return { id, names: [...new Set([...names, ...LOCAL])], folder, at: at ?? folder };
  });
  if (new Set(nodes.map(({ id }) => id)).size === nodes.length) return nodes;
  throw new UsageError('--node names a node twice');
}

async function write(
  { id, names, folder, at }: NewNode,
  shared: Readonly<Record<string, unknown>>,
  pair: TlsPair | null,
): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const [name = 'localhost'] = names;
  const scheme = pair === null ? 'http' : 'https';
  const shown = name.includes(':') ? `[${name}]` : name;
  const settings = {
    ...{ 'node-id': id, data: join(at, 'data') },
    ...shared,
    'http-url': `${scheme}://${shown}:${HTTP_PORT}`,
    's3-domains': names.filter((one) => /[a-z]/i.test(one) && !one.includes(':')).map(lower),
    ...(pair === null ? {} : { 'tls-cert': join(at, CERT), 'tls-key': join(at, KEY) }),
  };
  if (pair !== null) await writePair(folder, pair);
  await keepSecret(join(folder, CONFIG), `${stringify(settings)}\n`);
}

/** Cut off anywhere it leaves a pair that can be used: the old one, or the new one in two steps (tls-files.ts). */
async function writePair(folder: string, pair: TlsPair): Promise<void> {
  const next = nextCertificate(join(folder, CERT));
  await keepSecret(next, pair.cert);
  await keepSecret(join(folder, KEY), pair.key);
  await chmod(next, 0o644);
  await rename(next, join(folder, CERT));
}

/** Of every node. Where they have no credentials, each gets its own, and there is a configuration for the servers. */
async function natsUrls(
  io: Io,
  root: string,
  nodes: readonly NewNode[],
  text: string,
): Promise<Map<string, readonly string[]>> {
  const urls = text.split(',');
  const users = nodes.map(({ id }) => ({ name: id, password: drawnSecret(io) }));
  const found = users.map((user) => urls.map((url) => withUser(url, user)));
  if (found.some((own) => own.includes(null))) {
    return new Map(nodes.map(({ id }) => [id, urls]));
  }
  // No node has an underscore in its name.
  const client = { name: 'api_client', password: drawnSecret(io) };
  await keepSecret(join(root, NATS_CONFIG), natsServerConfig(CLUSTER, users, client));
  return new Map(users.map(({ name }, i) => [name, found[i] as string[]]));
}

/** Of every node, from an authority that is made for them. */
async function certificates(
  io: Io,
  root: string,
  nodes: readonly NewNode[],
): Promise<Map<string, TlsPair>> {
  const { makeAuthority, makeServerPair } = await import('../certificates.ts');
  const maker = { random: io.random, nowMs: io.clock.wallMs() };
  const authority = await makeAuthority('minikv authority', maker);
  await keepSecret(join(root, CA_KEY), authority.key);
  await writeFile(join(root, CA), authority.cert);
  const pairs = new Map<string, TlsPair>();
  for (const { id, names } of nodes) {
    pairs.set(id, await makeServerPair(authority, withBuckets(names), maker));
  }
  return pairs;
}

/** Names under which buckets are found (`bucket.name`), too. */
function withBuckets(names: readonly string[]): string[] {
  const hosts = names.filter((name) => /[a-z]/i.test(name) && !name.includes(':'));
  return [...names, ...hosts.map((name) => `*.${name}`)];
}

/** New certificates, for the names of the old ones. Nodes that run take them by themselves. */
async function renew(io: Io, root: string): Promise<void> {
  const { makeServerPair, namesOf } = await import('../certificates.ts');
  const authority = { cert: await text(root, CA), key: await text(root, CA_KEY) };
  const folders = await nodeFolders(root);
  if (folders.length === 0) throw new CommandFailed(`there is no certificate of a node in ${root}`);
  for (const folder of folders) {
    const names = namesOf(await text(folder, CERT));
    const maker = { random: io.random, nowMs: io.clock.wallMs() };
    await writePair(folder, await makeServerPair(authority, names, maker));
    await io.out(`${join(folder, CERT)}\n`);
  }
}

/** For clients, of the authority that is there: `CN=name`. */
async function clientCertificates(io: Io, root: string, names: readonly string[]): Promise<void> {
  const { makeClientPair } = await import('../certificates.ts');
  const authority = { cert: await text(root, CA), key: await text(root, CA_KEY) };
  const bad = names.find((name) => !CLIENT_NAME.test(name));
  if (bad !== undefined) throw new UsageError(`--client must be a name, not "${bad}"`);
  for (const name of names) {
    const folder = join(root, 'clients', name);
    if (await isThere(join(folder, KEY))) {
      throw new CommandFailed(`${join(folder, KEY)} is there already: nothing is written over`);
    }
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const maker = { random: io.random, nowMs: io.clock.wallMs() };
    await writePair(folder, await makeClientPair(authority, name, [], maker));
    await io.out(`${join(folder, CERT)}: subject:CN=${name}\n`);
  }
}

/** Those in `root` that have a certificate. */
async function nodeFolders(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of (await readdir(root)).sort()) {
    if (await isThere(join(root, name, CERT))) found.push(join(root, name));
  }
  return found;
}

async function text(folder: string, name: string): Promise<string> {
  try {
    return await readFile(join(folder, name), 'utf8');
  } catch (error) {
    throw new CommandFailed(`cannot read ${join(folder, name)}: ${(error as Error).message}`);
  }
}

async function refuseOld(root: string, nodes: readonly NewNode[]): Promise<void> {
  const paths = [
    join(root, CA_KEY),
    join(root, NATS_CONFIG),
    ...nodes.map(({ folder }) => join(folder, CONFIG)),
  ];
  for (const path of paths) {
    if (await isThere(path)) {
      throw new CommandFailed(`${path} is there already: nothing is written over`);
    }
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function drawnSecret({ random }: Io): string {
  return Buffer.from(random.bytes(SECRET_BYTES)).toString('base64url');
}

function drawnAdminKey({ random }: Io): string {
  return apiKeyText(drawApiKey(random, ADMIN_ID));
}

function s3Settings({ random }: Io) {
  const { accessKeyId, secretAccessKey } = drawn(random);
  return { 's3-access-key': accessKeyId, 's3-secret-key': secretAccessKey };
}

function lower(text: string): string {
  return text.toLowerCase();
}

function nextSteps(root: string, nodes: readonly NewNode[], flags: InitFlags): string {
  const lines = [
    '',
    `  ${nodes.length === 1 ? 'One node' : `${nodes.length} nodes`} in ${root}`,
    '',
  ];
  for (const { id, at } of nodes) {
    lines.push(`    ${id}: minikv serve --config ${join(at, CONFIG)}`);
  }
  if (flags.at !== undefined) lines.push('', `  Each node finds its folder as ${flags.at}.`);
  lines.push(
    '',
    '  All secrets are drawn, and in the minikv.toml of each node, for you alone to read.',
  );
  if (flags.nats !== undefined && !flags.nats.includes('@')) {
    const path = join(root, NATS_CONFIG);
    lines.push(`  Each node has a user of its own on the NATS servers: nats-server -c ${path}`);
  }
  if (flags.auth === true) lines.push("  The administrator's key is auth-admin-key there.");
  if (flags.tls === true) {
    lines.push(
      `  Clients trust ${join(root, CA)} (curl --cacert, AWS_CA_BUNDLE, NODE_EXTRA_CA_CERTS).`,
      `  Keep ${CA_KEY} off the nodes: minikv init ${root} --renew makes new certificates with it.`,
    );
  }
  return `${lines.join('\n')}\n\n`;
}
