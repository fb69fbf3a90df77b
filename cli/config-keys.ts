import { LIMITS } from '../protocol/limits.ts';

/**
 * Every setting of `minikv serve`: one row is the flag `--<key>`, the variable `MINIKV_<KEY>`, the key
 * in the TOML file and the line in docs/configuration.md. Order of force: flag, environment, file,
 * default.
 */
export interface ConfigKey {
  readonly key: string;
  readonly kind: 'text' | 'integer' | 'boolean' | 'list';
  /** As text; null has no default. */
  readonly fallback: string | null;
  /** False: only in the environment and the file. */
  readonly flag: boolean;
  /** What stands behind the flag in the help, e.g. `<port>`. */
  readonly argument?: string;
  readonly help: string;
  /** What `config print` masks: all of it, or what a URL may hold of a password. */
  readonly secret?: 'all' | 'in-url';
}

export const CONFIG_KEYS: readonly ConfigKey[] = [
  {
    key: 'node-id',
    kind: 'text',
    fallback: 'n1',
    flag: true,
    argument: '<id>',
    help: 'Name of this node: 1 to 32 of a-z, 0-9 and -',
  },
  {
    key: 'cluster',
    kind: 'text',
    fallback: 'minikv',
    flag: true,
    argument: '<name>',
    help: 'Name of the cluster, the same on all nodes: 1 to 32 of a-z, 0-9 and -',
  },
  {
    key: 'data',
    kind: 'text',
    fallback: './data',
    flag: true,
    argument: '<folder>',
    help: 'Data folder, made when missing',
  },
  {
    key: 'host',
    kind: 'text',
    fallback: '127.0.0.1',
    flag: true,
    argument: '<address>',
    help: 'Address to listen on; anything but loopback needs --auth or --insecure',
  },
  {
    key: 'port',
    kind: 'integer',
    fallback: '8080',
    flag: true,
    argument: '<port>',
    help: 'HTTP port; 0 takes a free one',
  },
  {
    key: 's3-port',
    kind: 'integer',
    fallback: '9000',
    flag: true,
    argument: '<port>',
    help: 'Port of the S3 endpoint; 0 takes a free one. Not given: also a free one where 9000 is taken, or with port 0',
  },
  {
    key: 's3-access-key',
    kind: 'text',
    fallback: null,
    flag: true,
    argument: '<id>',
    help: 'Access key of S3; without: drawn once and kept in the data folder. With: all S3 requests are signed',
  },
  {
    key: 's3-secret-key',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'The secret of that key, at least 8 characters',
    secret: 'all',
  },
  {
    key: 's3-region',
    kind: 'text',
    fallback: 'us-east-1',
    flag: false,
    help: 'Region that S3 clients sign for',
  },
  {
    key: 'host-names',
    kind: 'list',
    fallback: null,
    flag: false,
    help: 'Host names under which others than this machine reach it through a proxy on loopback, where nobody is asked for credentials',
  },
  {
    key: 's3-domains',
    kind: 'list',
    fallback: 'localhost',
    flag: false,
    help: 'Host names in front of which a bucket may stand, as in bucket.localhost',
  },
  {
    key: 'encryption-root-key',
    ...{ kind: 'text', fallback: null, flag: false },
    help: 'Root key of encryption, 32 bytes as hex or base64, the same on all nodes; older ones behind it, after commas',
    secret: 'all',
  },
  {
    key: 'encryption-root-key-file',
    ...{ kind: 'text', fallback: null, flag: false },
    help: 'File with that key, older ones on further lines. Neither: root-key in the data folder, which a node on its own draws',
  },
  {
    key: 'encryption-root-key-command',
    ...{ kind: 'text', fallback: null, flag: false },
    help: 'Command of the shell that prints that key, older ones on further lines; run at each start',
  },
  {
    key: 'encryption-at-rest',
    kind: 'boolean',
    fallback: 'false',
    flag: true,
    help: 'Encrypt the data folder, from its first start on, under a configured root key. A folder that is encrypted stays so',
  },
  {
    key: 'nats',
    kind: 'list',
    fallback: null,
    flag: true,
    argument: '<url,...>',
    help: 'NATS servers, e.g. nats://user:password@host:4222; without: one node on its own',
    secret: 'in-url',
  },
  {
    key: 'nats-creds',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'File with NATS credentials (.creds); read again at each connection',
  },
  {
    key: 'nats-nkey',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'File with a NATS nkey seed; read again at each connection',
  },
  {
    key: 'nats-tls-ca',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'PEM file of the authorities that the NATS servers are checked against; asks for TLS',
  },
  {
    key: 'nats-tls-cert',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'PEM file of the certificate that this node shows to the NATS servers',
  },
  {
    key: 'nats-tls-key',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'PEM file of the key of that certificate',
  },
  {
    key: 'initial-members',
    kind: 'list',
    fallback: null,
    flag: true,
    argument: '<id,...>',
    help: 'All founding members, the same list on each; default: this node alone',
  },
  {
    key: 'join',
    kind: 'boolean',
    fallback: 'false',
    flag: true,
    help: 'Join a cluster that exists; never form a new one',
  },
  {
    key: 'roles',
    kind: 'list',
    fallback: 'replica,gateway',
    flag: true,
    argument: '<role,...>',
    help: 'replica (holds data), gateway (answers clients)',
  },
  {
    key: 'groups',
    kind: 'integer',
    fallback: '8',
    flag: true,
    argument: '<count>',
    help: `Raft groups a new cluster is cut into, 1 to ${LIMITS.groupsMax}`,
  },
  {
    key: 'ephemeral',
    kind: 'boolean',
    fallback: 'false',
    flag: true,
    help: 'Keep everything in memory: acknowledged writes are lost with the process',
  },
  {
    key: 'auth',
    kind: 'boolean',
    fallback: 'false',
    flag: true,
    help: 'Ask for API keys; S3 requests have to be signed, and NATS requests are refused. The same on all nodes',
  },
  {
    key: 'auth-admin-key',
    kind: 'text',
    fallback: null,
    flag: false,
    help: "The administrator's key, mkv_admin_ and 43 letters, digits, - and _, the same on all nodes; without: admin-key in the data folder, which a node on its own draws",
    secret: 'all',
  },
  {
    key: 'insecure',
    kind: 'boolean',
    fallback: 'false',
    flag: true,
    help: 'Listen without authentication where others can connect',
  },
  {
    key: 'otlp',
    kind: 'text',
    fallback: null,
    flag: true,
    argument: '<url>',
    help: 'OTLP/HTTP collector for traces, e.g. http://localhost:4318; without: no tracing',
    secret: 'in-url',
  },
  {
    key: 'http-url',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'URL under which other nodes and clients reach this node; default: from host and port',
  },
  {
    key: 'cluster-secret',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'Shared by all nodes: what they send each other is sealed with it; at least 16 characters',
    secret: 'all',
  },
  {
    key: 'cluster-secret-previous',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'Also accepted from other nodes, while the secret is being changed',
    secret: 'all',
  },
  {
    key: 'retention-seconds',
    kind: 'integer',
    fallback: String(LIMITS.retentionMsDefault / 1000),
    flag: false,
    help: 'How long old versions and the change feed stay readable',
  },
  {
    key: 'scrub-period-seconds',
    kind: 'integer',
    fallback: String(LIMITS.scrubPeriodMsDefault / 1000),
    flag: false,
    help: 'In this time every stored chunk of an object is read and verified once',
  },
  {
    key: 'lifecycle-day-seconds',
    kind: 'integer',
    fallback: '86400',
    flag: false,
    help: 'How long a day of lifecycle rules is, for tests: things end at the next multiple of it, which is midnight UTC; the same on all nodes',
  },
  {
    key: 'auth-jwt-issuer',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'Whose tokens (JWT) are taken besides API keys: their `iss`',
  },
  {
    key: 'auth-jwt-audience',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'For whom they have to be: their `aud`',
  },
  {
    key: 'auth-jwt-jwks',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'Where the keys of that issuer are: a file, or an https URL',
  },
  {
    key: 'auth-jwt-algorithms',
    kind: 'list',
    fallback: 'RS256,ES256,EdDSA',
    flag: false,
    help: 'How they may be signed: of RS256, PS256, ES256, ES384 and EdDSA',
  },
  {
    key: 'auth-jwt-role-claim',
    kind: 'text',
    fallback: 'role',
    flag: false,
    help: 'The claim that names a role, or several; with dots for claims inside of claims',
  },
  {
    key: 'tls-cert',
    kind: 'text',
    fallback: null,
    flag: true,
    argument: '<file>',
    help: 'PEM file of the certificate of this node, with those behind it: HTTP and S3 speak TLS. What replaces it is used at once',
  },
  {
    key: 'tls-key',
    kind: 'text',
    fallback: null,
    flag: true,
    argument: '<file>',
    help: 'PEM file of the key of that certificate',
  },
  {
    key: 'tls-min-version',
    kind: 'text',
    fallback: '1.2',
    flag: false,
    help: 'Oldest version of TLS that is spoken: 1.2 or 1.3',
  },
  {
    key: 'notify-webhooks',
    kind: 'list',
    fallback: null,
    flag: false,
    help: 'Webhooks that notifications of buckets may go to, as name=url,...; the same names on all nodes',
    secret: 'in-url',
  },
  {
    key: 'notify-webhook-secrets',
    kind: 'list',
    fallback: null,
    flag: false,
    help: 'Secrets that what is posted to them is signed with, as name=secret,...',
    secret: 'all',
  },
  {
    key: 'notify-nats-subjects',
    kind: 'list',
    fallback: 's3.>',
    flag: false,
    help: 'NATS subjects that owners of buckets may have notifications published to: patterns with * and >; those of minikv, NATS and replies never are',
  },
  {
    key: 'log-level',
    kind: 'text',
    fallback: 'info',
    flag: false,
    help: 'debug, info, warn, error or silent',
  },
  {
    key: 'log-format',
    kind: 'text',
    fallback: 'auto',
    flag: false,
    help: 'json, text, or auto: text on a terminal, else json',
  },
];

/** Other variables with our prefix that mean something. */
export const OTHER_VARIABLES: readonly string[] = [
  ...[
    'MINIKV_CONFIG',
    'MINIKV_ENDPOINT',
    'MINIKV_API_KEY',
    'MINIKV_S3_ENDPOINT',
    'MINIKV_FROM_ENDPOINT',
  ],
  ...['MINIKV_FROM_ACCESS_KEY', 'MINIKV_FROM_SECRET_KEY', 'MINIKV_FROM_SESSION_TOKEN'],
];

export function variableOf(key: string): string {
  return `MINIKV_${key.toUpperCase().replaceAll('-', '_')}`;
}
