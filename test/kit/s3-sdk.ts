import { Readable } from 'node:stream';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';

/**
 * The AWS SDK as an oracle, without a network: what it sends for a command, and what it makes of an answer.
 */
export interface SentRequest {
  readonly method: string;
  /** Path and query as they would be on the wire. */
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

export interface StubAnswer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body: string;
}

interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: Record<string, string | string[] | null>;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

type Command = Parameters<S3Client['send']>[0];

export class SdkOracle {
  readonly #client: S3Client;
  #sent: SentRequest | null = null;
  #answer: StubAnswer = { status: 200, body: '' };

  constructor(config: S3ClientConfig = {}) {
    this.#client = new S3Client({
      region: 'us-east-1',
      endpoint: 'http://s3.example.test',
      forcePathStyle: true,
      credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
      maxAttempts: 1,
      ...config,
      requestHandler: {
        handle: async (request: WireRequest) => {
          this.#sent = await sentOf(request);
          const { status, headers = {}, body } = this.#answer;
          const stream = Readable.from([Buffer.from(body)]);
          return { response: { statusCode: status, headers, body: stream } };
        },
      },
    });
  }

  /** What the SDK puts on the wire. Its view of the empty answer does not matter. */
  async sent(command: unknown): Promise<SentRequest> {
    this.#sent = null;
    this.#answer = { status: 200, body: '' };
    let failure: unknown;
    await this.#client.send(command as Command).catch((error: unknown) => {
      failure = error;
    });
    if (this.#sent === null) throw failure;
    return this.#sent;
  }

  /** What the SDK makes of an answer; throws what it throws. */
  async read(command: unknown, answer: string | StubAnswer): Promise<Record<string, unknown>> {
    this.#answer = typeof answer === 'string' ? { status: 200, body: answer } : answer;
    const output = await this.#client.send(command as Command);
    const { $metadata: _metadata, ...rest } = output as unknown as Record<string, unknown>;
    return rest;
  }
}

async function sentOf(request: WireRequest): Promise<SentRequest> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) headers[name.toLowerCase()] = value;
  const url = request.path + queryText(request.query ?? {});
  return { method: request.method, url, headers, body: await bytesOf(request.body) };
}

function queryText(query: Record<string, string | string[] | null>): string {
  const fields = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) =>
      one === null
        ? encodeURIComponent(name)
        : `${encodeURIComponent(name)}=${encodeURIComponent(one)}`,
    ),
  );
  return fields.length === 0 ? '' : `?${fields.join('&')}`;
}

async function bytesOf(body: unknown): Promise<Uint8Array> {
  if (body === undefined || body === null) return new Uint8Array(0);
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return body;
  const chunks: Buffer[] = [];
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
