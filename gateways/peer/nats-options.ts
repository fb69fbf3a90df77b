/** How to reach the NATS servers. Files are read by the composition root, not here. */

export type NatsCredentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }
  /** An nkey seed; read again at each connection, so that it can be rotated. */
  | { readonly kind: 'nkey'; readonly seed: () => Uint8Array }
  /** The contents of a .creds file; read again at each connection. */
  | { readonly kind: 'creds'; readonly contents: () => Uint8Array };

/** Paths of PEM files. An empty object asks for TLS with the system's authorities. */
export interface NatsTls {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface NatsBusOptions {
  /** Cluster name: a token of every peer subject. */
  readonly cluster: string;
  /** Shown in the server's monitoring; the lane group is appended. */
  readonly name: string;
  /** `host:port` or `nats://host:port`; see parseNatsUrls for URLs with credentials. */
  readonly servers: readonly string[];
  readonly credentials: NatsCredentials;
  /** Null: no TLS unless a server demands it. */
  readonly tls: NatsTls | null;
  /** How long opening waits for the servers before it goes on in the background. */
  readonly connectWaitMs: number;
}

/** Waits between attempts stay far below the 5 s in which a node must be back (F25). */
export const RECONNECT_WAIT_MS = 200;
export const RECONNECT_JITTER_MS = 200;
/** Of failed attempts to connect at the start, one is logged in this time. */
export const COMPLAINT_INTERVAL_MS = 10_000;
/** One attempt: dial, INFO, CONNECT and the first PONG. */
export const HANDSHAKE_TIMEOUT_MS = 3_000;
/** Three unanswered pings end a connection, so a cut or a hang shows in about 4.5 s. */
export const PING_INTERVAL_MS = 1_500;
export const PINGS_OUT_MAX = 2;
/** A round trip above this means that this node or the server is behind with reading. */
export const SLOW_ROUND_TRIP_MS = 1_000;
export const PROBE_INTERVAL_MS = 1_000;
/** Unconfirmed bytes per connection: enough for 200 MB/s at a 100 ms round trip. */
export const CONTROL_WINDOW_BYTES = 32 * 1024 * 1024;
export const BULK_WINDOW_BYTES = 16 * 1024 * 1024;
export const PUBLIC_WINDOW_BYTES = 16 * 1024 * 1024;
/** How long a drain may take before the connection is closed anyway. */
export const DRAIN_TIMEOUT_MS = 3_000;

/** What a list of `--nats` URLs says. */
export interface ParsedNatsUrls {
  readonly servers: readonly string[];
  readonly credentials: NatsCredentials;
  readonly tls: NatsTls | null;
}

/**
 * Reads `nats://user:password@host:4222,tls://host2:4222`. Credentials of the first URL that has some hold
 * for all; a user without a password is a token; one `tls://` asks for TLS everywhere. Null for text that is
 * no list of NATS URLs.
 */
export function parseNatsUrls(text: string): ParsedNatsUrls | null {
  const servers: string[] = [];
  let credentials: NatsCredentials = { kind: 'none' };
  let tls: NatsTls | null = null;
  for (const part of text.split(',')) {
    const url = toUrl(part.trim());
    if (url === null) return null;
    servers.push(`${url.hostname}:${url.port === '' ? '4222' : url.port}`);
    if (url.protocol === 'tls:') tls = {};
    const given = credentialsOf(url);
    if (given === null) return null;
    if (credentials.kind === 'none') credentials = given;
  }
  return { servers, credentials, tls };
}

function toUrl(text: string): URL | null {
  const withScheme = /^[a-z]+:\/\//.test(text) ? text : `nats://${text}`;
  if (!URL.canParse(withScheme)) return null;
  const url = new URL(withScheme);
  if ((url.protocol !== 'nats:' && url.protocol !== 'tls:') || url.hostname === '') return null;
  return url.pathname === '' || url.pathname === '/' ? url : null;
}

/** Null: an escape in them is none. */
function credentialsOf({ username, password }: URL): NatsCredentials | null {
  if (username === '') return { kind: 'none' };
  try {
    const user = decodeURIComponent(username);
    if (password === '') return { kind: 'token', token: user };
    return { kind: 'password', user, password: decodeURIComponent(password) };
  } catch {
    return null;
  }
}
