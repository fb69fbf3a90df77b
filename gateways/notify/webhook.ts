import { createHmac } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';

/** An HTTP endpoint that operators have named. */
export interface WebhookConfig {
  readonly name: string;
  /** http or https; a user and a password in it are sent as basic authentication. */
  readonly url: string;
  /** Null: what is sent is not signed. */
  readonly secret: string | null;
}

/** Connections to one endpoint. */
const SOCKETS_MAX = 16;
const IDLE_MS = 30_000;
/** Of an answer, so that its connection is used again. */
const ANSWER_BYTES_MAX = 64 * 1024;

/** Posts to one endpoint. Only an answer of 2xx counts as taken; redirects are not followed. */
export class Webhook {
  readonly #config: WebhookConfig;
  readonly #clock: Clock;
  readonly #agent: http.Agent;

  constructor(config: WebhookConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    const options = { keepAlive: true, maxSockets: SOCKETS_MAX, timeout: IDLE_MS };
    this.#agent = this.#isSecure() ? new https.Agent(options) : new http.Agent(options);
  }

  /** Rejects with an Error that says why; what was posted may have arrived all the same. */
  post(body: string, id: string): Promise<void> {
    const bytes = Buffer.from(body);
    const headers = {
      'content-type': 'application/json',
      'content-length': bytes.length,
      'user-agent': 'minikv',
      'minikv-event-id': id,
      ...this.#signature(bytes),
    };
    return new Promise((resolve, reject) => {
      const { request } = this.#isSecure() ? https : http;
      const req = request(this.#config.url, { method: 'POST', headers, agent: this.#agent });
      const cancel = this.#clock.after(LIMITS.notificationTimeoutMs, () => {
        req.destroy(new Error(`no answer within ${LIMITS.notificationTimeoutMs} ms`));
      });
      req.on('error', reject);
      // Also after what is no error, such as another protocol: nobody may wait for ever.
      req.once('close', () => {
        cancel();
        reject(new Error('the webhook closed the connection'));
      });
      req.once('response', (res) => {
        const status = res.statusCode ?? 0;
        if (status >= 200 && status < 300) resolve();
        else reject(new Error(`the webhook answered ${status}`));
        // Nobody reads it; when it has ended the connection is free again. One that is long, or late, is cut off.
        let length = 0;
        res.on('data', (data: Uint8Array) => {
          length += data.length;
          if (length > ANSWER_BYTES_MAX) req.destroy();
        });
      });
      req.end(bytes);
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  #isSecure(): boolean {
    return this.#config.url.startsWith('https:');
  }

  /** `t=<Unix s>,v1=<HMAC-SHA256 of "<t>.<body>", hex>` */
  #signature(body: Uint8Array): Readonly<Record<string, string>> {
    const { secret } = this.#config;
    if (secret === null) return {};
    const at = Math.floor(this.#clock.wallMs() / 1000);
    const mac = createHmac('sha256', secret).update(`${at}.`).update(body).digest('hex');
    return { 'minikv-signature': `t=${at},v1=${mac}` };
  }
}
