import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { NamedKeys } from '../../gateways/encryption/named-keys.ts';
import { RootKeys } from '../../gateways/encryption/root-keys.ts';
import type { HttpConfig } from '../../gateways/http/app.ts';
import {
  createHttpServer,
  type HttpServer,
  type HttpServerOptions,
} from '../../gateways/http/server.ts';
import { S3Directory } from '../../gateways/identity/s3-directory.ts';
import { S3Users } from '../../gateways/identity/s3-users.ts';
import type { S3Config } from '../../gateways/s3/edge.ts';
import { NO_TELEMETRY } from '../../observability/port.ts';
import { seededRandom } from '../../protocol/random.ts';
import type { ModelIdentities } from './model-identities.ts';
import { ModelObjects } from './model-objects.ts';
import { ModelService } from './model-service.ts';
import { rateLimitsFor } from './rate-limits.ts';
import { REAL_CLOCK } from './real-clock.ts';

export const ACCESS_KEY = 'MINIKVTESTKEY';
export const SECRET_KEY = 'a secret that nobody knows';

export interface S3Server {
  /** Of S3's own port. */
  readonly url: string;
  /** Of the HTTP port. */
  readonly httpUrl: string;
  readonly objects: ModelObjects;
  readonly keys: NamedKeys;
  readonly users: S3Users;
  readonly identities: ModelIdentities;
  readonly server: HttpServer;
  client(config?: Partial<S3ClientConfig>): S3Client;
  stop(): Promise<void>;
}

/** The real listeners over a model of the store, on free ports. */
export async function startS3Server(
  config: Partial<S3Config> = {},
  http: Partial<HttpConfig> = {},
  more: Partial<HttpServerOptions> = {},
): Promise<S3Server> {
  const objects = new ModelObjects(() => REAL_CLOCK.wallMs());
  const roots = new RootKeys([Buffer.alloc(32, 7)]);
  const keys = new NamedKeys({
    ...{ rows: objects.keyRows, roots, random: seededRandom(2), clock: REAL_CLOCK },
  });
  const service = new ModelService();
  const { identities } = service;
  const directory = new S3Directory({ identities, roots, clock: REAL_CLOCK });
  const users = new S3Users({ identities, roots, random: seededRandom(4), clock: REAL_CLOCK });
  const rates = rateLimitsFor(identities, REAL_CLOCK);
  const server = await createHttpServer({
    ...{ service, telemetry: NO_TELEMETRY, clock: REAL_CLOCK },
    ...{ random: seededRandom(1), version: '0.1.0' },
    ...{ keys, s3Users: users, ...rates, ...more },
    config: { host: '127.0.0.1', port: 0, allowUnsigned: true, ...http },
    s3: {
      ...{ objects, users: directory },
      config: {
        ...{
          port: 0,
          portMoves: false,
          region: 'us-east-1',
          baseDomains: ['localhost'],
          lifecycleDayMs: 86_400_000,
          allowUnsigned: true,
          customerKeysOverHttp: false,
        },
        ...config,
      },
      credentialsOf: async (id) =>
        id === ACCESS_KEY
          ? { secretAccessKey: SECRET_KEY, sessionToken: null, expiresAtMs: null }
          : null,
    },
  });
  const { url: httpUrl, s3Url } = await server.listen();
  const url = s3Url as string;
  const clients: S3Client[] = [];
  return {
    ...{ url, httpUrl, objects, keys, server, users, identities },
    client(more = {}) {
      const client = new S3Client({
        ...{ endpoint: url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
        credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
        ...more,
      });
      clients.push(client);
      return client;
    },
    async stop() {
      for (const client of clients) client.destroy();
      rates.limits.stop();
      await server.close();
    },
  };
}

/** What the SDK's error says. */
export async function refused(sent: Promise<unknown>): Promise<{ name: string; status: number }> {
  try {
    await sent;
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata: { httpStatusCode: number } };
    return { name, status: $metadata.httpStatusCode };
  }
  throw new Error('it was taken');
}
