/** Serving requests of clients that speak NATS. Implemented by gateways/peer/nats-bus.ts. */

export interface ClientRequest {
  readonly subject: string;
  /** Where the answer goes; '' when nobody waits for one. */
  readonly reply: string;
  /** First value of a header, any case; null when absent. */
  header(name: string): string | null;
  readonly payload: Uint8Array;
  /** Answers once; false when it certainly did not leave, or nobody asked for an answer. */
  respond(payload: Uint8Array, headers: Readonly<Record<string, string>>): boolean;
}

export interface RequestServer {
  /** Bytes one answer may have, headers included. */
  readonly payloadBytesMax: number;
  /** One member of `queue` gets each request. `handle` must not throw. */
  serveRequests(subject: string, queue: string, handle: (request: ClientRequest) => void): void;
}
