import {
  connect,
  credsAuthenticator,
  type Msg,
  MsgHdrsImpl,
  type NatsConnection,
  type NodeConnectionOptions,
  nkeyAuthenticator,
  nuid,
  PermissionViolationError,
  type Status,
  type Subscription,
} from 'nats';
import type { BusState } from '../../actors/kit/ports.ts';
import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { DropReason } from './bus-metrics.ts';
import { Confirming } from './confirming.ts';
import { CreditWindow } from './credit-window.ts';
import * as options from './nats-options.ts';

export interface NatsPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

export type Headers = Readonly<Record<string, string>>;

/** A message as it came in; the payload is a view on the received frame. */
export interface LinkMessage {
  readonly subject: string;
  /** Where an answer goes; '' when nobody waits for one. */
  readonly reply: string;
  readonly payload: Uint8Array;
  /** First value of a header, any case; null when absent. */
  header(name: string): string | null;
  /** From the server itself: nobody listens where a payload with this reply subject went. */
  readonly isNoResponders: boolean;
}

export type LinkName = 'control' | 'bulk' | 'public';

/** Whoever holds the connections together. */
export interface LinkOwner {
  /** The state of a connection has changed. */
  changed(): void;
  /** The first connection could not be made; it is tried again. */
  connectFailed(link: LinkName, error: unknown): void;
}

interface Row {
  readonly subject: string;
  readonly queue: string | null;
  readonly handle: (message: LinkMessage) => void;
  live: Subscription | null;
}

/**
 * One NATS connection, and the only importer of the client. L1: publish never throws and never waits. L2:
 * nothing is kept for later: without a connection, or with too many unconfirmed bytes on it, a payload is
 * dropped, so that no stale burst follows. L3: it reconnects for ever and restores its subscriptions.
 */
export class NatsLink {
  readonly name: LinkName;
  readonly #options: options.NatsBusOptions;
  readonly #ports: NatsPorts;
  readonly #owner: LinkOwner;
  readonly #window: CreditWindow;
  readonly #rows: Row[] = [];
  #connection: NatsConnection | null = null;
  #state: BusState = 'disconnected';
  #cancelTimer = (): void => {};
  readonly #confirming: Confirming;
  #slow = false;
  #wasUp = false;

  constructor(
    name: LinkName,
    windowBytes: number,
    busOptions: options.NatsBusOptions,
    ports: NatsPorts,
    owner: LinkOwner,
  ) {
    this.name = name;
    this.#options = busOptions;
    this.#ports = ports;
    this.#owner = owner;
    this.#confirming = new Confirming(ports.clock);
    this.#window = new CreditWindow(windowBytes, {
      clock: ports.clock,
      confirm: () => this.#connection?.flush() ?? Promise.reject(new Error('not connected')),
      confirmed: (rttMs) => this.#noteRoundTrip(rttMs),
    });
  }

  state(): BusState {
    return this.#state;
  }

  payloadBytesMax(): number {
    const server = this.#connection?.info?.max_payload ?? LIMITS.busPayloadBytesMax;
    return Math.min(server, LIMITS.busPayloadBytesMax);
  }

  /** Null when the payload left; else why it was dropped. `reply` may be ''. */
  publish(
    subject: string,
    payload: Uint8Array,
    headers: Headers | null,
    reply: string,
  ): DropReason | null {
    if (this.#state === 'closed') return 'closed';
    const connection = this.#connection;
    if (connection === null || this.#state !== 'connected') return 'disconnected';
    const encoded = headers === null ? null : encodeHeaders(headers);
    if (encoded === 'invalid') return 'invalid';
    const size = payload.length + (encoded?.bytes ?? 0);
    if (size > this.payloadBytesMax()) return 'oversize';
    if (!this.#window.take(size + subject.length)) return 'overflow';
    try {
      // The client keeps the array until the end of this turn; the caller may reuse its own at once.
      const copy = Buffer.from(payload);
      if (encoded !== null) connection.publish(subject, copy, { headers: encoded.headers });
      else if (reply !== '') connection.publish(subject, copy, { reply });
      else connection.publish(subject, copy);
    } catch (error) {
      this.#ports.telemetry.log('warn', 'NATS refused a payload', { subject, error });
      return 'invalid';
    }
    this.#window.sent();
    return null;
  }

  /** Kept over reconnects. Takes effect at once when connected. */
  subscribe(subject: string, queue: string | null, handle: (message: LinkMessage) => void): void {
    const row: Row = { subject, queue, handle, live: null };
    this.#rows.push(row);
    if (this.#connection !== null && this.#state === 'connected') this.#subscribeRow(row);
  }

  /**
   * Resolves when the server has what was published to the subject so far. Rejects where there is no connection, or it
   * is lost, or the server allows nothing to be published there.
   */
  async confirmed(subject: string): Promise<void> {
    const connection = this.#connection;
    if (connection === null || this.#state !== 'connected')
      throw new Error('not connected to NATS');
    await this.#confirming.settle(subject, () => connection.flush());
  }

  /** Resolves when the server has seen everything sent so far, or the connection went down. */
  async settle(): Promise<void> {
    try {
      await this.#connection?.flush();
    } catch (error) {
      this.#ports.telemetry.log('debug', 'NATS flush failed', { link: this.name, error });
    }
  }

  /** Connects in the background, for ever; resolves at the first success or when closed. */
  async open(): Promise<void> {
    while (this.#state !== 'closed') {
      try {
        const connection = await connect(this.#connectOptions());
        if (this.#isClosed()) await connection.close();
        else this.#adopt(connection);
        return;
      } catch (error) {
        this.#countError('connect');
        if (!this.#isClosed()) this.#owner.connectFailed(this.name, error);
        await this.#pause(options.RECONNECT_WAIT_MS * 2);
      }
    }
  }

  /** Handles what has arrived, sends what is queued, then closes; never later than DRAIN_TIMEOUT_MS. */
  async drain(): Promise<void> {
    const wasConnected = this.#state === 'connected';
    this.#setState('closed');
    this.#cancelTimer();
    const connection = this.#connection;
    if (connection === null) return;
    try {
      const late = this.#pause(options.DRAIN_TIMEOUT_MS);
      if (wasConnected) await Promise.race([connection.drain(), late]);
      await Promise.race([connection.close(), late]);
    } catch (error) {
      this.#ports.telemetry.log('warn', 'NATS drain failed', { link: this.name, error });
    } finally {
      this.#cancelTimer();
    }
  }

  #connectOptions(): NodeConnectionOptions {
    const { servers, credentials, tls, name } = this.#options;
    return {
      servers: [...servers],
      name: `${name}/${this.name}`,
      timeout: options.HANDSHAKE_TIMEOUT_MS,
      pingInterval: options.PING_INTERVAL_MS,
      maxPingOut: options.PINGS_OUT_MAX,
      maxReconnectAttempts: -1,
      reconnectTimeWait: options.RECONNECT_WAIT_MS,
      reconnectJitter: options.RECONNECT_JITTER_MS,
      reconnectJitterTLS: options.RECONNECT_JITTER_MS,
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
      ...(tls === null ? {} : { tls: { ...tls } }),
      ...credentialOptions(credentials),
    };
  }

  #adopt(connection: NatsConnection): void {
    this.#connection = connection;
    for (const row of this.#rows) row.live = null;
    void this.#follow(connection, connection.status());
    this.#up();
    this.#cancelTimer();
    this.#scheduleProbe();
  }

  /** Follows one connection's life. When the client gives up on it, a new one is made. */
  async #follow(connection: NatsConnection, statuses: AsyncIterable<Status>): Promise<void> {
    try {
      for await (const status of statuses) this.#onStatus(status);
      const error = await connection.closed();
      if (error) throw error;
    } catch (error) {
      this.#ports.telemetry.log('error', 'NATS connection failed', { link: this.name, error });
    }
    if (this.#isClosed() || this.#connection !== connection) return;
    this.#down();
    this.#connection = null;
    await this.open();
  }

  #onStatus(status: Status): void {
    if (status.type === 'disconnect') this.#down();
    else if (status.type === 'reconnect') this.#up();
    else if (status.type === 'staleConnection') this.#countError('stale');
    else if (status.type === 'error') {
      this.#countError('server');
      if (/slow consumer/i.test(status.error.message)) this.#countError('slow_consumer');
      const { error } = status;
      if (error instanceof PermissionViolationError && error.operation === 'publish') {
        this.#confirming.refused(error.subject, error);
      }
      const fields = { link: this.name, error: status.error };
      this.#ports.telemetry.log('error', 'NATS reports an error', fields);
    }
  }

  #up(): void {
    if (this.#isClosed()) return;
    this.#window.reset();
    this.#slow = false;
    if (this.#wasUp) this.#ports.telemetry.count('bus_reconnects', 1, { link: this.name });
    this.#wasUp = true;
    if (this.payloadBytesMax() < LIMITS.busPayloadBytesMax) {
      this.#ports.telemetry.log('error', 'max_payload of nats-server is below what minikv needs', {
        link: this.name,
        maxPayload: this.payloadBytesMax(),
        needed: LIMITS.busPayloadBytesMax,
      });
    }
    // The client renews live subscriptions by itself, but not one the server refused.
    for (const row of this.#rows) {
      if (row.live === null || row.live.isClosed()) this.#subscribeRow(row);
    }
    this.#setState('connected');
  }

  #down(): void {
    if (this.#state !== 'connected') return;
    this.#window.reset();
    this.#setState('disconnected');
  }

  #subscribeRow(row: Row): void {
    const callback = (error: Error | null, message: Msg): void => {
      if (error === null) row.handle(linkMessage(message));
      else this.#countError('subscription');
    };
    const queue = row.queue === null ? {} : { queue: row.queue };
    row.live = (this.#connection as NatsConnection).subscribe(row.subject, { ...queue, callback });
  }

  /**
   * The answer to a ping comes behind everything the server still holds for this connection, so a slow one
   * tells of a slow consumer before the server cuts it off.
   */
  #noteRoundTrip(rttMs: number): void {
    this.#ports.telemetry.timeMs('bus_round_trip_seconds', rttMs, { link: this.name });
    const slow = rttMs > options.SLOW_ROUND_TRIP_MS;
    if (slow && !this.#slow) {
      this.#countError('slow_consumer');
      this.#ports.telemetry.log('warn', 'NATS is behind', { link: this.name, rttMs });
    }
    this.#slow = slow;
  }

  #scheduleProbe(): void {
    this.#cancelTimer = this.#ports.clock.after(options.PROBE_INTERVAL_MS, () => {
      if (this.#isClosed() || this.#connection === null) return;
      if (this.#state === 'connected') this.#window.probe();
      this.#scheduleProbe();
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#ports.clock.after(ms, resolve);
      this.#cancelTimer = () => {
        cancel();
        resolve();
      };
    });
  }

  #setState(state: BusState): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    this.#ports.telemetry.log('info', 'NATS link', { link: this.name, state });
    this.#owner.changed();
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #countError(kind: string): void {
    this.#ports.telemetry.count('bus_errors', 1, { link: this.name, kind });
  }
}

/** An unguessable token, by the client library's own generator. */
export function processToken(): string {
  return nuid.next();
}

function credentialOptions(credentials: options.NatsCredentials): NodeConnectionOptions {
  switch (credentials.kind) {
    case 'none':
      return {};
    case 'password':
      return { user: credentials.user, pass: credentials.password };
    case 'token':
      return { token: credentials.token };
    case 'nkey':
      return { authenticator: nkeyAuthenticator(credentials.seed) };
    case 'creds':
      return { authenticator: credsAuthenticator(credentials.contents) };
  }
}

function linkMessage(message: Msg): LinkMessage {
  return {
    subject: message.subject,
    reply: message.reply ?? '',
    payload: message.data,
    header: (name) => {
      const value = message.headers?.get(name, 'insensitive') ?? '';
      return value === '' ? null : value;
    },
    isNoResponders: message.data.length === 0 && message.headers?.code === NO_RESPONDERS,
  };
}

/** The status of a server's answer to a payload that nobody listens for. */
const NO_RESPONDERS = 503;

/** A line break in a value would forge a header, so such headers are refused as a whole. */
function encodeHeaders(headers: Headers): { headers: MsgHdrsImpl; bytes: number } | 'invalid' {
  const encoded = new MsgHdrsImpl();
  let bytes = 'NATS/1.0\r\n\r\n'.length;
  for (const name of Object.keys(headers)) {
    const value = headers[name] as string;
    if (/[\r\n]/.test(value)) return 'invalid';
    encoded.headers.set(name, [value]);
    bytes += name.length + Buffer.byteLength(value) + ': \r\n'.length;
  }
  return { headers: encoded, bytes };
}
