import type { ConfigKey } from './config-key.ts';

/** Settings of whom to believe, what to write down of them, and TLS. */
export const SECURITY_KEYS: readonly ConfigKey[] = [
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
    key: 'auth-jwt-tenant-claim',
    kind: 'text',
    fallback: null,
    flag: false,
    help: 'The claim that names the tenant, likewise: tokens without it are refused then; without this key all are of the tenant default',
  },
  {
    key: 'audit',
    kind: 'text',
    fallback: 'auto',
    flag: false,
    help: 'What the audit trail in the data folder has: off, admin (administrative and denied requests), all; auto: admin with auth, else off',
  },
  {
    key: 'audit-files-max',
    kind: 'integer',
    fallback: '64',
    flag: false,
    help: 'Files of 16 MiB that it keeps; the oldest go',
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
];
