import { parse as parseToml } from 'smol-toml';
import { parseRootKeys } from '../gateways/encryption/root-keys.ts';
import type { ApiKey } from '../gateways/identity/api-key.ts';
import type { NotifyConfig } from '../gateways/notify/targets.ts';
import { parseNatsUrls } from '../gateways/peer/nats-options.ts';
import { type ClusterSecrets, SECRET_CHARS_MIN } from '../gateways/peer/sealed-bus.ts';
import type { NodeConfig, NodeRole } from '../protocol/config.ts';
import { LIMITS } from '../protocol/limits.ts';
import { isClusterName } from '../protocol/subjects.ts';
import { type NodeId, parseNodeId } from '../protocol/types.ts';
import type { CompressionRule } from '../storage/kv/value-compression.ts';
import { parseAdminKey } from './admin-key.ts';
import { compressionRule } from './compression-rule.ts';
import type { ConfigKey } from './config-key.ts';
import { CONFIG_KEYS, OTHER_VARIABLES, variableOf } from './config-keys.ts';
import { Reader, type Setting } from './config-reader.ts';
import { suggestion, UsageError } from './failures.ts';
import { type IssuerSettings, issuerSettings } from './issuer.ts';
import { checkNatsFiles } from './nats-access.ts';
import { notifyConfig } from './notify-config.ts';
import { type TlsConfig, tlsConfig } from './tls-files.ts';

/** Files that say who this node is to the NATS servers, and whom it trusts; null: not given. */
export interface NatsFiles {
  readonly creds: string | null;
  readonly nkey: string | null;
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

/** The settings of one node, read from everywhere and checked. The door to smol-toml. */
export interface Config {
  readonly nodeId: NodeId;
  readonly cluster: string;
  /** Data folder, as given. */
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly s3Port: number;
  /** Nobody asked for that port: where it is taken, any other will do. */
  readonly s3PortMoves: boolean;
  /** Null: drawn at the first start and kept in the data folder. */
  readonly s3Keys: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
  readonly s3Region: string;
  /** The first wraps, all unwrap. Null: those of the file, else of the data folder. */
  readonly rootKeys: readonly Uint8Array[] | null;
  readonly rootKeyFile: string | null;
  readonly rootKeyCommand: string | null;
  readonly encryptionAtRest: boolean;
  readonly compression: readonly CompressionRule[];
  /** `bucket.<domain>` is that bucket. */
  readonly s3Domains: readonly string[];
  readonly hostNames: readonly string[];
  /** Origins whose pages may use REST from browsers. */
  readonly allowedOrigins: readonly string[];
  /** Empty: the in-process bus. Else what parseNatsUrls takes, joined by commas. */
  readonly nats: readonly string[];
  readonly natsFiles: NatsFiles;
  readonly initialMembers: readonly NodeId[];
  readonly join: boolean;
  readonly roles: readonly NodeRole[];
  readonly groups: number;
  readonly ephemeral: boolean;
  readonly insecure: boolean;
  /** Requests need credentials. */
  readonly auth: boolean;
  /** Null: plain HTTP. */
  readonly tls: TlsConfig | null;
  readonly audit: 'off' | 'admin' | 'all' | 'auto';
  readonly auditFilesMax: number;
  /** Null: the one of the data folder. */
  readonly adminKey: ApiKey | null;
  /** Null: no tokens of others are taken. */
  readonly issuer: IssuerSettings | null;
  readonly otlp: string | null;
  /** Where others reach this node; null: made from host and the port that was bound. */
  readonly httpUrl: string | null;
  /** Null: messages between nodes are not sealed. */
  readonly clusterSecrets: ClusterSecrets | null;
  readonly retentionMs: number;
  readonly scrubPeriodMs: number;
  readonly lifecycleDayMs: number;
  readonly notify: NotifyConfig;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly logFormat: 'auto' | 'json' | 'text';
}

export interface ConfigSources {
  /** By key; texts as typed, booleans for switches. Undefined: not given. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads the file that --config or MINIKV_CONFIG names. */
  readFile(path: string): string;
}

/** Reads all sources and checks them. Throws UsageError naming the key, the source and the remedy. */
export function loadConfig(sources: ConfigSources): { config: Config; settings: Setting[] } {
  const settings = gather(sources);
  return { config: check(settings), settings };
}

/** What the node's actors need of it. */
export function nodeConfig(config: Config, httpUrl: string, version: string): NodeConfig {
  return {
    nodeId: config.nodeId,
    cluster: config.cluster,
    initialMembers: config.initialMembers,
    join: config.join,
    roles: config.roles,
    groupCount: config.groups,
    retentionMs: config.retentionMs,
    scrubPeriodMs: config.scrubPeriodMs,
    lifecycleDayMs: config.lifecycleDayMs,
    durability: config.ephemeral ? 'memory' : 'quorum-fsync',
    httpUrl,
    version,
  };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function gather(sources: ConfigSources): Setting[] {
  const known = CONFIG_KEYS.map((row) => row.key);
  refuseUnknownVariables(sources.env);
  const path = sources.flags['config'] ?? sources.env['MINIKV_CONFIG'];
  const file = typeof path === 'string' ? readToml(path, sources) : {};
  for (const key of Object.keys(file)) {
    if (!known.includes(key)) throw unknown(`key "${key}" in ${path}`, key, known);
  }
  return CONFIG_KEYS.map((row) => {
    const secret = row.secret ?? null;
    const flag = sources.flags[row.key];
    if (flag !== undefined) {
      return { key: row.key, value: String(flag), from: `--${row.key}`, secret };
    }
    const variable = variableOf(row.key);
    const fromEnv = sources.env[variable];
    if (fromEnv !== undefined) return { key: row.key, value: fromEnv, from: variable, secret };
    if (Object.hasOwn(file, row.key)) {
      const value = tomlText(row, file[row.key], `${path}`);
      return { key: row.key, value, from: `${path}`, secret };
    }
    return { key: row.key, value: row.fallback, from: 'default', secret };
  });
}

function refuseUnknownVariables(env: ConfigSources['env']): void {
  const known = [...CONFIG_KEYS.map((row) => variableOf(row.key)), ...OTHER_VARIABLES];
  for (const name of Object.keys(env)) {
    if (!name.startsWith('MINIKV_') || known.includes(name)) continue;
    throw unknown(`variable ${name}`, name, known);
  }
}

function unknown(what: string, word: string, known: readonly string[]): UsageError {
  const near = suggestion(word, known);
  return new UsageError(`unknown ${what}${near === null ? '' : ` (did you mean ${near}?)`}`);
}

function readToml(path: string, sources: ConfigSources): Record<string, unknown> {
  let text: string;
  try {
    text = sources.readFile(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`);
  }
  try {
    return parseToml(text);
  } catch (error) {
    throw new UsageError(`${path} is not valid TOML: ${(error as Error).message}`);
  }
}

const TOML_FORMS: Readonly<Record<ConfigKey['kind'], [string, (value: unknown) => boolean]>> = {
  text: ['a string', (value) => typeof value === 'string'],
  integer: ['an integer', (value) => Number.isInteger(value)],
  boolean: ['true or false', (value) => typeof value === 'boolean'],
  list: [
    'a list of strings',
    (value) => Array.isArray(value) && value.every((part) => typeof part === 'string'),
  ],
};

function tomlText(row: ConfigKey, value: unknown, path: string): string {
  const [wanted, fits] = TOML_FORMS[row.kind];
  if (!fits(value)) throw new UsageError(`"${row.key}" in ${path} must be ${wanted}`);
  return String(value);
}

const ID_FORM = '1 to 32 of a-z, 0-9 and -';
const ADMIN_KEY_FORM = 'mkv_admin_ and 43 letters, digits, - and _';

function check(settings: readonly Setting[]): Config {
  const read = new Reader(settings);
  const nodeId = read.parsed('node-id', ID_FORM, parseNodeId);
  const members = read.list('initial-members', `node ids, each ${ID_FORM}`, parseNodeId);
  const config: Config = {
    nodeId,
    cluster: read.parsed('cluster', ID_FORM, (text) => (isClusterName(text) ? text : null)),
    data: read.parsed('data', 'a folder', (text) => text || null),
    host: read.parsed('host', 'an address', (text) => (/^[\w.:%-]+$/.test(text) ? text : null)),
    port: read.integer('port', 0, 65_535),
    ...s3Port(read, settings),
    s3Keys: s3Keys(read),
    s3Region: read.parsed('s3-region', 'a region such as us-east-1', (text) =>
      /^[a-z0-9-]{1,63}$/.test(text) ? text : null,
    ),
    rootKeys: rootKeysOrNull(read),
    rootKeyFile: read.text('encryption-root-key-file'),
    hostNames: read.list('host-names', 'host names', hostName),
    allowedOrigins: read.list(
      'http-allowed-origins',
      'origins such as https://app.example',
      (text) => (URL.canParse(text) && new URL(text).origin === text ? text : null),
    ),
    rootKeyCommand: read.text('encryption-root-key-command'),
    encryptionAtRest: read.boolean('encryption-at-rest'),
    compression: read.list(
      'compression',
      'lz4, zstd, none, or prefix=one of these',
      compressionRule,
    ),
    s3Domains: read.list('s3-domains', 'host names', hostName),
    nats: read.list('nats', 'NATS URLs', (text) => (parseNatsUrls(text) === null ? null : text)),
    natsFiles: {
      creds: read.text('nats-creds'),
      nkey: read.text('nats-nkey'),
      ca: read.text('nats-tls-ca'),
      cert: read.text('nats-tls-cert'),
      key: read.text('nats-tls-key'),
    },
    initialMembers: members.length === 0 ? [nodeId] : members,
    join: read.boolean('join'),
    roles: read.list('roles', 'replica, gateway or both', (text) =>
      text === 'replica' || text === 'gateway' ? text : null,
    ),
    groups: read.integer('groups', 1, LIMITS.groupsMax),
    ephemeral: read.boolean('ephemeral'),
    insecure: read.boolean('insecure'),
    auth: read.boolean('auth'),
    tls: tlsConfig(read),
    audit: read.oneOf('audit', ['auto', 'off', 'admin', 'all']),
    auditFilesMax: read.integer('audit-files-max', 2, 100_000),
    adminKey: read.optional('auth-admin-key', ADMIN_KEY_FORM, parseAdminKey),
    issuer: issuerSettings(read),
    otlp: httpUrlOrNull(read, 'otlp'),
    httpUrl: httpUrlOrNull(read, 'http-url'),
    clusterSecrets: clusterSecrets(read),
    retentionMs: read.integer('retention-seconds', 60, 30 * 24 * 3600) * 1000,
    scrubPeriodMs: read.integer('scrub-period-seconds', 60, 365 * 24 * 3600) * 1000,
    lifecycleDayMs: read.integer('lifecycle-day-seconds', 1, 86_400) * 1000,
    notify: notifyConfig(read),
    logLevel: read.oneOf('log-level', ['debug', 'info', 'warn', 'error', 'silent']),
    logFormat: read.oneOf('log-format', ['auto', 'json', 'text']),
  };
  checkTogether(config);
  return config;
}

const hostName = (text: string) => (/^[a-z0-9.-]{1,253}$/.test(text) ? text : null);

function httpUrlOrNull(read: Reader, key: string): string | null {
  if (read.text(key) === null) return null;
  return read.parsed(key, 'an http or https URL', (text) =>
    URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) ? text : null,
  );
}

function clusterSecrets(read: Reader): ClusterSecrets | null {
  const long = (text: string): string | null => (text.length >= SECRET_CHARS_MIN ? text : null);
  const secret = (key: string): string | null =>
    read.text(key) === null
      ? null
      : read.parsed(key, `at least ${SECRET_CHARS_MIN} characters`, long);
  const current = secret('cluster-secret');
  const previous = secret('cluster-secret-previous');
  if (current !== null) return { current, previous };
  if (previous === null) return null;
  throw new UsageError('cluster-secret-previous needs cluster-secret');
}

/** Who wants any free port for HTTP wants one for S3 too. */
function s3Port(
  read: Reader,
  settings: readonly Setting[],
): Pick<Config, 's3Port' | 's3PortMoves'> {
  const s3PortMoves = settings.find(({ key }) => key === 's3-port')?.from === 'default';
  const isAny = s3PortMoves && read.integer('port', 0, 65_535) === 0;
  return { s3Port: isAny ? 0 : read.integer('s3-port', 0, 65_535), s3PortMoves };
}

function s3Keys(read: Reader): Config['s3Keys'] {
  const form = '3 to 128 letters, digits and _';
  const accessKeyId = read.optional('s3-access-key', form, (text) =>
    /^\w{3,128}$/.test(text) ? text : null,
  );
  const secretAccessKey = read.optional('s3-secret-key', 'at least 8 characters', (text) =>
    text.length >= 8 ? text : null,
  );
  if (accessKeyId !== null && secretAccessKey !== null) return { accessKeyId, secretAccessKey };
  if (accessKeyId === null && secretAccessKey === null) return null;
  throw new UsageError('s3-access-key and s3-secret-key go together');
}

function rootKeysOrNull(read: Reader): Config['rootKeys'] {
  const ways = ['encryption-root-key', 'encryption-root-key-file', 'encryption-root-key-command'];
  const given = ways.filter((way) => read.text(way) !== null);
  if (given.length > 1) throw new UsageError(`${given.join(' and ')} are two ways: give one`);
  if (read.text('encryption-root-key') === null) return null;
  return read.parsed('encryption-root-key', 'keys of 32 bytes, as hex or base64', parseRootKeys);
}

/** Rules over more than one setting. */
function checkTogether(config: Config): void {
  const { initialMembers, nodeId, roles, nats, join } = config;
  if (roles.length === 0) throw new UsageError('roles must name replica, gateway or both');
  if (new Set(initialMembers).size !== initialMembers.length) {
    throw new UsageError('initial-members names a node twice');
  }
  const founder = initialMembers.includes(nodeId);
  if (!join && roles.includes('replica') && !founder) {
    throw new UsageError(
      `node ${nodeId} is not among initial-members (${initialMembers.join(', ')}); add it there, or use --join for a cluster that exists`,
    );
  }
  if (!roles.includes('replica') && founder) {
    throw new UsageError(
      `node ${nodeId} holds no data (its only role is gateway), so it cannot be one of initial-members: name the members that do`,
    );
  }
  if (nats.length === 0 && (join || initialMembers.length > 1 || !founder)) {
    throw new UsageError('more than one node needs --nats <url,...> to reach the others');
  }
  checkNatsFiles(config);
  if (config.adminKey !== null && !config.auth) throw new UsageError('auth-admin-key needs auth');
  if (config.tls?.clientCaFile != null && !config.auth) {
    throw new UsageError('tls-client-ca needs auth');
  }
  if (config.issuer !== null && !config.auth) throw new UsageError('auth-jwt-issuer needs auth');
  if (!config.insecure && !config.auth && !isLoopback(config.host)) {
    throw new UsageError(
      `refusing to listen on ${config.host}: nobody is asked for credentials, so everybody who can connect could read and change all data. ` +
        'Keep --host 127.0.0.1, add --auth, or add --insecure where the network itself is trusted.',
    );
  }
}
