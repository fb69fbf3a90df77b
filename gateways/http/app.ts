import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Span, Telemetry } from '../../observability/port.ts';
import type { ByteBudget } from '../../protocol/answer-budget.ts';
import type { AuditTrail } from '../../protocol/audit.ts';
import type { ChunkCare } from '../../protocol/chunk-care.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { AppError } from '../../protocol/errors.ts';
import type { Quotas } from '../../protocol/quotas.ts';
import type { Random } from '../../protocol/random.ts';
import type { DataKeys } from '../../protocol/sealing-keys.ts';
import type { KvService } from '../../protocol/service.ts';
import type { UsageReads } from '../../protocol/usage.ts';
import type { NamedKeys } from '../encryption/named-keys.ts';
import type { Access } from '../identity/access.ts';
import type { ApiKeys } from '../identity/api-keys.ts';
import type { AuthSetting } from '../identity/auth-setting.ts';
import type { Certificates } from '../identity/certificates.ts';
import type { Grant } from '../identity/grant.ts';
import type { Roles } from '../identity/roles.ts';
import type { S3Users } from '../identity/s3-users.ts';
import type { StoreOf } from '../identity/tenant-store.ts';
import type { Tenants } from '../identity/tenants.ts';
import type { Tokens } from '../identity/tokens.ts';
import type { RateLimitRows } from '../limits/rate-limit-rows.ts';
import type { Meters, RateLimits } from '../limits/rate-limits.ts';
import type { HttpBounds } from './bounds.ts';
import type { HttpDates } from './http-date.ts';
import type { RefusedLinks } from './refused-links.ts';
import type { TlsSource } from './tls.ts';
import type { Traffic } from './traffic.ts';

export interface HttpConfig {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Whether requests without credentials are served (loopback, or --insecure); where `access` is null. */
  readonly allowUnsigned: boolean;
  /** Origins (`https://host`) besides our own that may write and watch from a browser. */
  readonly allowedOrigins?: readonly string[];
  /** Host names (lower case) that nobody else has, beside `localhost` and addresses (foreign-host.ts). */
  readonly ownNames?: readonly string[];
  readonly bounds?: Partial<HttpBounds>;
}

/** What every route of this listener works with. */
export interface Edge {
  /** What the node says of itself. Data is reached through the request's own store alone (RequestState). */
  readonly service: Pick<KvService, 'status'>;
  /** The store as a tenant sees it: for where requests come in. */
  readonly storeOf: StoreOf;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly random: Random;
  readonly config: HttpConfig;
  readonly bounds: HttpBounds;
  readonly version: string;
  readonly metricsText: (() => Promise<string>) | null;
  readonly stateHashes: (() => Promise<readonly ReplicaHash[]>) | null;
  /** Throws AppError `unavailable` while the node is starting. */
  readonly chunks: (() => ChunkCare) | null;
  /** Null: the ports speak plain HTTP. */
  readonly tls: TlsSource | null;
  /** Null: this node tells none. Throws as `chunks` does. */
  readonly usage: (() => UsageReads) | null;
  readonly quotas: (() => Quotas) | null;
  /** Null: there are none. */
  readonly keys: NamedKeys | null;
  /** Null: this node's data folder is in clear. */
  readonly dataKeys: DataKeys | null;
  /** Who may do what; null: nobody is asked who they are. */
  readonly access: Access | null;
  /** Null: nothing is written down of who did what. */
  readonly audit: AuditTrail | null;
  /** Null: nobody's rates are limited. */
  readonly limits: RateLimits | null;
  readonly rateLimitRows: RateLimitRows | null;
  readonly refusedLinks: RefusedLinks;
  readonly apiKeys: ApiKeys | null;
  readonly roles: Roles | null;
  readonly authSetting: AuthSetting | null;
  readonly s3Users: S3Users | null;
  readonly certificates: Certificates | null;
  readonly tokens: Tokens | null;
  readonly tenants: Tenants;
  readonly durability: string;
  /** What request bodies hold, over all connections. */
  readonly bodies: ByteBudget;
  /** What the results of batches hold until they are sent. */
  readonly answers: ByteBudget;
  readonly traffic: Traffic;
  readonly dates: HttpDates;
  /** Ends of the open watches; called once, when the listener drains. */
  readonly streams: Set<() => void>;
  /** How a request is refused that reaches no route. */
  problem(error: AppError, requestId: string): ShownProblem;
  /** A request id of our own. */
  nextRequestId(): string;
  isDraining(): boolean;
}

export interface ShownProblem {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly retryAfterMs: number | null;
}

/** One replica's applied state; replicas of a group at one applied index have one hash. */
export interface ReplicaHash {
  readonly group: number;
  readonly replica: string;
  readonly appliedIndex: number;
  /** 16 hex digits. */
  readonly hash: string;
}

/** What one request carries from hook to hook. */
export interface RequestState {
  readonly startedMs: number;
  readonly span: Span | null;
  /** To hand on: our span, else the caller's, else null. */
  readonly traceparent: string | null;
  /** The clock of the answer; null shows the node's. */
  revision: number | null;
  /** That its sender may do this; null where nobody is asked, or everybody may. */
  grant: Grant | null;
  /** The store of its sender's tenant; NO_STORE until they were admitted, and on routes that are everybody's. */
  store: KvService;
  /** The same, as its sender may use it. */
  service: KvService;
  /** What counts it; null: it is not limited. */
  meters: Meters | null;
  /** Gives back what its body holds of the budget. */
  release: (() => void) | null;
}

/** How a route takes its body. */
export type BodyMode = 'raw' | 'document';

declare module 'fastify' {
  interface FastifyRequest {
    edge: RequestState;
  }
  interface FastifyContextConfig {
    body?: BodyMode;
    bodyBytesMax?: number;
    /** Answered also when connections run out, and without credentials. */
    isHealth?: boolean;
  }
}

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression<RawServerDefault>,
  RawReplyDefaultExpression<RawServerDefault>,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;
