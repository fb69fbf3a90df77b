import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/** An event as S3 says it. */
export interface SaidEvent {
  readonly eventName: string;
  readonly eventVersion: string;
  readonly eventTime: string;
  readonly userIdentity: { readonly principalId: string };
  readonly requestParameters: { readonly sourceIPAddress: string };
  readonly responseElements: Readonly<Record<string, string>>;
  readonly s3: {
    readonly configurationId: string;
    readonly bucket: { readonly name: string; readonly arn: string };
    readonly object: {
      readonly key: string;
      readonly size?: number;
      readonly eTag?: string;
      readonly versionId?: string;
      readonly sequencer: string;
    };
  };
}

/** An HTTP endpoint that keeps what is posted to it. */
export class WebhookServer {
  readonly received: Received[] = [];
  /** What it answers; `null`: nothing, ever. */
  answer: (seen: Received) => number | null = () => 204;
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
  }

  static async start(port = 0): Promise<WebhookServer> {
    const server = http.createServer();
    const hook = new WebhookServer(server);
    server.on('request', (req, res) => {
      const parts: Buffer[] = [];
      req.on('data', (part: Buffer) => parts.push(part));
      req.on('end', () => {
        const seen = { headers: req.headers, text: Buffer.concat(parts).toString() };
        const status = hook.answer(seen);
        if (status !== null && status < 300) hook.received.push(seen);
        if (status !== null)
          res.writeHead(status, status === 307 ? { location: '/else' } : {}).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return hook;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  /** In the order in which they came, repetitions too. */
  events(): SaidEvent[] {
    return this.received.flatMap(({ text }) => eventsIn(text));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A test event has none. */
export function eventsIn(text: string): SaidEvent[] {
  return (JSON.parse(text) as { Records?: SaidEvent[] }).Records ?? [];
}

/** The order in which what happened to each key was said for the first time, as sequencers. */
export function firstSaid(events: readonly SaidEvent[]): Map<string, string[]> {
  const byKey = new Map<string, string[]>();
  for (const { s3 } of events) {
    const { key, sequencer } = s3.object;
    const seen = byKey.get(key) ?? [];
    if (!seen.includes(sequencer)) byKey.set(key, [...seen, sequencer]);
  }
  return byKey;
}
