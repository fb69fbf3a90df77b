import { describe, expect, it } from 'vitest';
import {
  type Config,
  type ConfigSources,
  isLoopback,
  loadConfig,
  nodeConfig,
} from '../../../cli/config.ts';
import { CONFIG_KEYS, variableOf } from '../../../cli/config-keys.ts';
import { shown } from '../../../cli/config-reader.ts';
import { UsageError } from '../../../cli/failures.ts';

interface Given {
  flags?: ConfigSources['flags'];
  env?: ConfigSources['env'];
  toml?: string;
}

function load(given: Given) {
  const { flags = {}, env = {}, toml } = given;
  return loadConfig({
    flags: toml === undefined ? flags : { ...flags, config: 'minikv.toml' },
    env,
    readFile: () => toml ?? '',
  });
}

const ADMIN_KEY = `mkv_admin_${'k'.repeat(43)}`;
const config = (given: Given): Config => load(given).config;
const refusal = (given: Given): string => {
  try {
    load(given);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error('was accepted');
};

describe('config', () => {
  it('has a default for one durable node on loopback', () => {
    expect(config({})).toEqual({
      nodeId: 'n1',
      cluster: 'minikv',
      data: './data',
      host: '127.0.0.1',
      port: 8080,
      s3Port: 9000,
      s3PortMoves: true,
      s3Keys: null,
      rootKeys: null,
      rootKeyFile: null,
      rootKeyCommand: null,
      encryptionAtRest: false,
      compression: [],
      s3Region: 'us-east-1',
      s3Domains: ['localhost'],
      hostNames: [],
      allowedOrigins: [],
      nats: [],
      natsFiles: { creds: null, nkey: null, ca: null, cert: null, key: null },
      initialMembers: ['n1'],
      join: false,
      roles: ['replica', 'gateway'],
      groups: 8,
      ephemeral: false,
      insecure: false,
      auth: false,
      adminKey: null,
      issuer: null,
      audit: 'auto',
      auditFilesMax: 64,
      tls: null,
      otlp: null,
      httpUrl: null,
      clusterSecrets: null,
      retentionMs: 3_600_000,
      scrubPeriodMs: 14 * 24 * 3_600_000,
      lifecycleDayMs: 86_400_000,
      notify: { webhooks: [], natsSubjects: ['s3.>'] },
      logLevel: 'info',
      logFormat: 'auto',
    });
  });

  it('takes a flag over a variable over the file over the default', () => {
    const toml = 'port = 1003\ngroups = 3\ncluster = "from-file"\n';
    const env = { MINIKV_PORT: '1002', MINIKV_GROUPS: '2' };
    const { config: got, settings } = load({ flags: { port: '1001' }, env, toml });
    expect(got).toMatchObject({ port: 1001, groups: 2, cluster: 'from-file', s3Port: 9000 });
    const from = Object.fromEntries(settings.map((setting) => [setting.key, setting.from]));
    expect(from).toMatchObject({
      port: '--port',
      groups: 'MINIKV_GROUPS',
      cluster: 'minikv.toml',
      's3-port': 'default',
    });
  });

  it('reads every key from the environment and from the file', () => {
    const texts: Record<string, string> = {
      'node-id': 'n2',
      cluster: 'c',
      data: '/d',
      host: '::1',
      port: '1',
      's3-port': '2',
      's3-access-key': 'MKACCESS',
      's3-secret-key': 'a secret of S3',
      's3-region': 'eu-central-1',
      'host-names': 'kv.example.org',
      's3-domains': 's3.example.org,localhost',
      'encryption-root-key': '5a'.repeat(32),
      'encryption-root-key-file': '',
      'encryption-root-key-command': '',
      'encryption-at-rest': 'true',
      compression: 'lz4,logs/=zstd,logs/raw/=none',
      nats: 'nats://a:4222,nats://b:4222',
      'nats-creds': '/creds',
      'nats-nkey': '',
      'nats-tls-ca': '/ca',
      'nats-tls-cert': '/cert',
      'nats-tls-key': '/key',
      'initial-members': 'n1,n2,n3',
      join: 'true',
      roles: 'replica',
      groups: '3',
      ephemeral: 'true',
      auth: 'true',
      'auth-admin-key': ADMIN_KEY,
      insecure: 'true',
      otlp: 'http://o:4318',
      'http-url': 'http://h:1',
      'cluster-secret': '0123456789abcdef',
      'cluster-secret-previous': 'fedcba9876543210',
      'retention-seconds': '61',
      'scrub-period-seconds': '600',
      'lifecycle-day-seconds': '3600',
      'auth-jwt-issuer': 'https://who.example',
      'auth-jwt-audience': 'minikv',
      'auth-jwt-jwks': '/jwks',
      'auth-jwt-algorithms': 'ES256,EdDSA',
      'auth-jwt-role-claim': 'a.b',
      'auth-jwt-tenant-claim': 'org',
      audit: 'all',
      'audit-files-max': '3',
      'http-allowed-origins': 'https://app.example',
      'tls-cert': '/own-cert',
      'tls-key': '/own-key',
      'tls-client-ca': '/clients-ca',
      'tls-min-version': '1.3',
      'notify-webhooks': 'a=https://u:p@h.example/x?y=1,b=http://h:1',
      'notify-webhook-secrets': 'a=s=1',
      'notify-nats-subjects': 's3.>,told.*',
      'log-level': 'warn',
      'log-format': 'json',
    };
    expect(Object.keys(texts)).toEqual(CONFIG_KEYS.map((row) => row.key));
    const env = Object.fromEntries(Object.entries(texts).map(([k, v]) => [variableOf(k), v]));
    const toml = CONFIG_KEYS.map((row) => {
      const text = texts[row.key]!;
      if (row.kind === 'list') return `${row.key} = ${JSON.stringify(text.split(','))}`;
      return `${row.key} = ${row.kind === 'text' ? JSON.stringify(text) : text}`;
    }).join('\n');
    const fromEnv = config({ env });
    expect(config({ toml })).toEqual(fromEnv);
    expect(fromEnv).toMatchObject({ nodeId: 'n2', nats: ['nats://a:4222', 'nats://b:4222'] });
    expect(fromEnv).toMatchObject({
      join: true,
      retentionMs: 61_000,
      scrubPeriodMs: 600_000,
      lifecycleDayMs: 3_600_000,
      roles: ['replica'],
      notify: {
        webhooks: [
          { name: 'a', url: 'https://u:p@h.example/x?y=1', secret: 's=1' },
          { name: 'b', url: 'http://h:1', secret: null },
        ],
        natsSubjects: ['s3.>', 'told.*'],
      },
    });
  });

  it('takes webhooks by names that are used once, and secrets of those only', () => {
    const with_ = (hooks: string, secrets = '') =>
      refusal({ env: { MINIKV_NOTIFY_WEBHOOKS: hooks, MINIKV_NOTIFY_WEBHOOK_SECRETS: secrets } });
    expect(with_('a=ftp://h/')).toContain('name=url');
    expect(with_('http://h/')).toContain('name=url');
    expect(with_('a=http://h/,a=http://i/')).toContain('twice');
    expect(with_('a=http://h/', 'b=secret')).toContain('no webhook');
    expect(refusal({ env: { MINIKV_NOTIFY_NATS_SUBJECTS: 's3.>.x' } })).toContain('subjects');
    const hooks = { MINIKV_NOTIFY_WEBHOOKS: 'a=https://u:very-secret@h/' };
    const { settings } = loadConfig({ flags: {}, env: hooks, readFile: () => '' });
    const setting = settings.find(({ key }) => key === 'notify-webhooks')!;
    expect(shown(setting)).toBe('a=https://***@h/');
  });

  it('takes a free port for S3 with a free one for HTTP, and keeps to one that is given', () => {
    expect(config({ flags: { port: '0' } })).toMatchObject({ s3Port: 0 });
    const given = { port: '0', 's3-port': '9001' };
    expect(config({ flags: given })).toMatchObject({ s3Port: 9001, s3PortMoves: false });
  });

  it("takes an administrator's key of the stated form, where credentials are asked for", () => {
    const env = { MINIKV_AUTH: 'true', MINIKV_AUTH_ADMIN_KEY: ADMIN_KEY };
    expect(config({ env }).adminKey).toEqual({ id: 'admin', secret: 'k'.repeat(43) });
    expect(refusal({ env: { MINIKV_AUTH_ADMIN_KEY: ADMIN_KEY } })).toContain('needs auth');
    for (const wrong of ['secret', `mkv_other_${'k'.repeat(43)}`, ADMIN_KEY.slice(1)]) {
      const said = refusal({ env: { ...env, MINIKV_AUTH_ADMIN_KEY: wrong } });
      expect(said).toContain('mkv_admin_');
      expect(said).not.toContain(wrong);
    }
  });

  it('takes S3 keys as a pair', () => {
    expect(refusal({ flags: { 's3-access-key': 'MKONE' } })).toContain('go together');
    const env = { MINIKV_S3_ACCESS_KEY: 'MKONE', MINIKV_S3_SECRET_KEY: 'short' };
    expect(refusal({ env })).toContain('at least 8 characters');
  });

  it('refuses unknown keys and variables, with the word that was meant', () => {
    expect(refusal({ toml: 'prot = 1' })).toBe(
      'unknown key "prot" in minikv.toml (did you mean port?)',
    );
    expect(refusal({ env: { MINIKV_NODEID: 'n1' } })).toBe(
      'unknown variable MINIKV_NODEID (did you mean MINIKV_NODE_ID?)',
    );
    expect(refusal({ toml: 'zzzzzzzzzz = 1' })).toBe('unknown key "zzzzzzzzzz" in minikv.toml');
    expect(config({ env: { OTHER_PORT: 'x' } }).port).toBe(8080);
  });

  it('refuses values of the wrong type or range, and says where they came from', () => {
    expect(refusal({ flags: { port: '65536' } })).toBe(
      'port must be an integer from 0 to 65535, not "65536" (from --port)',
    );
    expect(refusal({ env: { MINIKV_GROUPS: '0' } })).toContain('(from MINIKV_GROUPS)');
    expect(refusal({ toml: 'port = "8080"' })).toBe('"port" in minikv.toml must be an integer');
    expect(refusal({ toml: 'roles = "replica"' })).toContain('must be a list of strings');
    expect(refusal({ toml: 'port = ' })).toContain('not valid TOML');
    expect(refusal({ flags: { 'node-id': 'N1' } })).toContain('1 to 32 of a-z, 0-9 and -');
    expect(refusal({ flags: { roles: 'replica,boss' } })).toContain('replica, gateway or both');
    expect(refusal({ flags: { otlp: 'localhost:4318' } })).toContain('an http or https URL');
    expect(refusal({ flags: { join: 'maybe' } })).toContain('true, false, 1, 0');
  });

  it('refuses to listen beyond loopback without --insecure', () => {
    expect(refusal({ flags: { host: '0.0.0.0' } })).toContain('--insecure');
    expect(config({ flags: { host: '0.0.0.0', insecure: true } }).host).toBe('0.0.0.0');
    expect(config({ flags: { host: '0.0.0.0', auth: true } }).host).toBe('0.0.0.0');
    for (const host of ['localhost', '127.0.0.1', '127.8.9.1', '::1']) {
      expect(isLoopback(host)).toBe(true);
    }
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.evil.org']) {
      expect(isLoopback(host)).toBe(false);
    }
  });

  it('refuses members that do not fit together', () => {
    expect(refusal({ flags: { 'initial-members': 'n1,n2' } })).toContain('--nats');
    expect(refusal({ flags: { join: true } })).toContain('--nats');
    const nats = 'nats://localhost:4222';
    expect(refusal({ flags: { nats, 'initial-members': 'n2,n3' } })).toContain('--join');
    expect(refusal({ flags: { nats, 'initial-members': 'n1,n1' } })).toContain('twice');
    expect(refusal({ flags: { nats, roles: 'gateway' } })).toContain('holds no data');
    const gateway = { nats, roles: 'gateway', 'initial-members': 'n2,n3' };
    expect(config({ flags: gateway }).roles).toEqual(['gateway']);
  });

  it('never shows a secret, neither in print nor in a refusal', () => {
    const { settings } = load({
      env: {
        MINIKV_NATS: 'nats://user:hunter2@a:4222,tok3n@b:4222,nats://c:4222',
        MINIKV_CLUSTER_SECRET: 'hunter2hunter2hunter2',
        MINIKV_OTLP: 'https://x.example/v1/traces?key=hunter2',
      },
    });
    const print = settings.map(shown).join('\n');
    expect(print).not.toMatch(/hunter2|tok3n/);
    expect(print).toContain('nats://***@a:4222,***@b:4222,nats://c:4222');
    expect(refusal({ env: { MINIKV_CLUSTER_SECRET: 'hunter2' } })).not.toContain('hunter2');
    expect(refusal({ env: { MINIKV_NATS: 'ftp://u:hunter2@h' } })).not.toContain('hunter2');
  });

  it('becomes what the node must know', () => {
    const given = config({ flags: { ephemeral: true, 'node-id': 'a' } });
    expect(nodeConfig(given, 'http://127.0.0.1:8080', '1.0.0')).toEqual({
      nodeId: 'a',
      cluster: 'minikv',
      initialMembers: ['a'],
      join: false,
      roles: ['replica', 'gateway'],
      groupCount: 8,
      retentionMs: 3_600_000,
      scrubPeriodMs: 14 * 24 * 3_600_000,
      lifecycleDayMs: 86_400_000,
      durability: 'memory',
      httpUrl: 'http://127.0.0.1:8080',
      version: '1.0.0',
    });
  });
});
