import type { AppError } from '../../protocol/errors.ts';
import type { Edge } from '../http/app.ts';
import type { EdgeRequest, EdgeResponse } from '../http/exchange.ts';
import { Listener } from '../http/listener.ts';
import { AccessLog } from './access-log.ts';
import type { KnownCredentials, Mount, S3Edge, S3Options } from './edge.ts';
import { renderError, s3ErrorOf } from './errors.ts';
import { S3Gateway } from './gateway.ts';
import { HashThread } from './hash-thread.ts';
import { ACCOUNT } from './principals.ts';
import { SigV4 } from './sigv4.ts';
import { StoredPolicies } from './stored-policy.ts';

const PREFIX = '/s3';
const LOOPBACK_OF: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

interface Bound {
  readonly address: string;
  readonly family: string;
  readonly port: number;
}

/** S3 at the root of a port of its own, and under /s3 of the HTTP port. */
export class S3Endpoint {
  readonly #gateway: S3Gateway;
  readonly #edge: S3Edge;
  readonly #underPath: Mount;
  #listener: Listener | null = null;

  constructor(http: Edge, options: S3Options) {
    const { objects, config, notifications = null, users = null } = options;
    const verifier = new SigV4({
      ...{ clock: http.clock, region: config.region, credentialsOf: credentialsOf(options) },
    });
    const policies = new StoredPolicies();
    const { clock, random, telemetry, keys } = http;
    const { region } = config;
    const accessLog = new AccessLog({
      ...{ objects, clock, random, telemetry, region, policies, keys },
    });
    const hashing = new HashThread();
    this.#edge = {
      ...{ http, objects, config, verifier, users, policies, accessLog, hashing, notifications },
    };
    this.#gateway = new S3Gateway(this.#edge);
    this.#underPath = {
      endpoint: { baseDomains: config.baseDomains, pathPrefix: PREFIX },
      makesBuckets: config.allowUnsigned,
    };
  }

  /** Whether a request on the HTTP port is for S3. */
  takes(url: string): boolean {
    if (!url.startsWith(PREFIX)) return false;
    const next = url.charCodeAt(PREFIX.length);
    // The end, a slash, or a question mark.
    return Number.isNaN(next) || next === 0x2f || next === 0x3f;
  }

  /** Of the HTTP port. */
  handle(req: EdgeRequest, res: EdgeResponse): void {
    void this.#gateway.handle(req, res, this.#underPath);
  }

  /** Binds the port of its own. Null: there is none. */
  async listen(host: string): Promise<string | null> {
    const { port, baseDomains } = this.#edge.config;
    if (port === null) return null;
    const mount: Mount = { endpoint: { baseDomains, pathPrefix: '' }, makesBuckets: false };
    const listener = new Listener(withXmlProblems(this.#edge.http), {
      handle: (req, res) => void this.#gateway.handle(req, res, mount),
      asksForBodies: () => true,
      direct: { takes: () => false, leave: () => {}, run: () => {} },
      isWebSocketPath: () => false,
      upgrade: (_req, socket) => socket.destroy(),
    });
    this.#listener = listener;
    await this.#bind(listener, host, port);
    const { address, family, port: real } = listener.server.address() as Bound;
    const scheme = this.#edge.http.tls === null ? 'http' : 'https';
    // Where it listens on all of them, one that can be reached, and that certificates have.
    const shown = LOOPBACK_OF[address] ?? address;
    return `${scheme}://${family === 'IPv6' ? `[${shown}]` : shown}:${real}`;
  }

  async #bind({ server }: Listener, host: string, port: number): Promise<void> {
    try {
      await bound(server, host, port);
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!isTaken || !this.#edge.config.portMoves) throw error;
      this.#edge.http.telemetry.log('warn', 'the S3 port is taken: a free one is used', { port });
      await bound(server, host, 0);
    }
  }

  /** Requests in progress are finished. */
  async close(): Promise<void> {
    const server = this.#listener?.server;
    if (server?.listening === true) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      this.#listener?.drain();
      await closed;
    }
    await this.#edge.hashing.stop();
  }

  /** Delivers the access logs of the last requests, once they are answered. */
  closeLog(): Promise<void> {
    return this.#edge.accessLog.close();
  }

  destroyAll(): void {
    this.#listener?.destroyAll();
  }
}

/** Those of the account, which are configured, and then those of its users. */
function credentialsOf({
  credentialsOf: own,
  users,
}: S3Options): (accessKeyId: string) => Promise<KnownCredentials | null> {
  return async (accessKeyId) => {
    const credentials = await own(accessKeyId);
    if (credentials !== null) return { ...credentials, identity: ACCOUNT };
    const key = (await users?.keyOf(accessKeyId)) ?? null;
    // What expired is not told from what never was: no key of a user's has a session.
    return key === null ? null : { ...key, sessionToken: null, expiresAtMs: null };
  };
}

function bound(server: Listener['server'], host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** What never becomes a request of S3's is refused in its words too. */
function withXmlProblems(http: Edge): Edge {
  return {
    ...http,
    problem: (error: AppError, requestId: string) => {
      const shown = s3ErrorOf(error);
      const place = { resource: '', requestId, hostId: requestId };
      return {
        status: shown.status,
        contentType: 'application/xml',
        body: renderError(shown, place),
        retryAfterMs: shown.retryAfterMs,
      };
    },
  };
}
