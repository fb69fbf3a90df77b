import { RootKeys } from '../../gateways/encryption/root-keys.ts';
import type { HttpServerOptions } from '../../gateways/http/server.ts';
import { Access } from '../../gateways/identity/access.ts';
import { apiKeyText, drawApiKey, parseApiKey } from '../../gateways/identity/api-key.ts';
import { ApiKeys } from '../../gateways/identity/api-keys.ts';
import { AuthSetting } from '../../gateways/identity/auth-setting.ts';
import { Certificates } from '../../gateways/identity/certificates.ts';
import type { IssuerTokens } from '../../gateways/identity/issuer-tokens.ts';
import { Roles } from '../../gateways/identity/roles.ts';
import { SecretHash } from '../../gateways/identity/secret-hash.ts';
import { Tenants } from '../../gateways/identity/tenants.ts';
import { Tokens } from '../../gateways/identity/tokens.ts';
import { NO_TELEMETRY } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import { seededRandom } from '../../protocol/random.ts';
import { startModelServer } from './http-start.ts';
import { ModelService } from './model-service.ts';
import { rateLimitsFor } from './rate-limits.ts';
import { REAL_CLOCK } from './real-clock.ts';

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };

/** The real listener over the model service, where everybody has to show a key. */
export async function startGuardedServer(
  makeIssuer: (clock: Clock) => IssuerTokens | null = () => null,
  more: Partial<HttpServerOptions> = {},
  service = new ModelService(),
) {
  const random = seededRandom(7, 'keys');
  let wallMs: number | null = null;
  const clock = { ...REAL_CLOCK, wallMs: () => wallMs ?? REAL_CLOCK.wallMs() };
  const parts = { identities: service.identities, random, clock, hash: new SecretHash(random) };
  const adminKey = drawApiKey(random, 'admin');
  const roots = new RootKeys([random.bytes(32)]);
  const tokens = new Tokens({ ...parts, roots, cluster: 'test' });
  const access = new Access({ ...parts, adminKey, tokens, issuer: makeIssuer(clock) });
  const apiKeys = new ApiKeys(parts);
  const roles = new Roles(parts);
  const rates = rateLimitsFor(service.identities, clock);
  const server = await startModelServer({}, service, NO_TELEMETRY, {
    ...{ access, apiKeys, roles, tokens, authSetting: new AuthSetting(service.identities) },
    certificates: new Certificates(service.identities, clock),
    ...{ ...rates, ...more },
  });
  const tenants = new Tenants({ identities: service.identities, clock });
  const make = async (
    role: string,
    expiresInMs: number | null = null,
    tenant = 'default',
  ): Promise<string> => {
    const wanted = { name: `a ${role}`, tenant, role, expiresInMs };
    return (await apiKeys.create(CTX, wanted)).key;
  };
  return {
    ...{ ...server, ...rates, access, apiKeys, roles, tokens, tenants, make },
    admin: apiKeyText(adminKey),
    revoke: (key: string) => apiKeys.revoke(CTX, null, parseApiKey(key)?.id ?? ''),
    stop: () => {
      rates.limits.stop();
      return server.stop();
    },
    /** What the clock on the wall says from now on. */
    setWallMs: (ms: number) => {
      wallMs = ms;
    },
  };
}
