import { createLocalJWKSet, type JSONWebKeySet } from 'jose';
import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';

/** Where the keys of an issuer are. */
export interface KeySource {
  /** For logs. */
  readonly name: string;
  /** How often it may be asked without need. */
  readonly everyMs: number;
  /** A JSON Web Key Set (RFC 7517, section 5), as text. Rejects with an Error that says why not. */
  read(): Promise<string>;
}

/** One state of them. Who was verified with another one has to be verified again. */
export interface IssuerKeySet {
  readonly text: string;
  readonly find: ReturnType<typeof createLocalJWKSet>;
}

/** A token under a key that is not known has the source asked at once, so often at most. */
const COOLDOWN_MS = 10_000;
/** Keys that nobody confirms for so long count no more: their issuer may have withdrawn them. */
const STALE_MS = 24 * 3600 * 1000;
const KEYS_MAX = 100;

/** The public keys of an issuer of tokens, kept as they are published. */
export class IssuerKeys {
  readonly #source: KeySource;
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  #keys: IssuerKeySet | null = null;
  #readMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;
  #cancel: () => void = () => {};
  #isStopped = false;
  #lastError = '';
  /** What was told of those of now. */
  readonly #unusable = new Set<string>();

  constructor(source: KeySource, parts: { readonly clock: Clock; readonly telemetry: Telemetry }) {
    this.#source = source;
    this.#clock = parts.clock;
    this.#telemetry = parts.telemetry;
  }

  /** Reads them, and goes on doing so. Never rejects: until they could be read there are none. */
  async start(): Promise<void> {
    await this.#ask();
    if (this.#isStopped) return;
    this.#cancel = this.#clock.after(this.#source.everyMs, () => void this.start());
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  /** Null: there are none that count. */
  current(): IssuerKeySet | null {
    return this.#clock.monotonicMs() - this.#readMs < STALE_MS ? this.#keys : null;
  }

  /** After a key was missing: asks the source unless it was asked a moment ago. */
  async renewed(): Promise<void> {
    if (this.#clock.monotonicMs() - this.#askedMs >= COOLDOWN_MS) await this.#ask();
    else await this.#asking;
  }

  /** One of them is none that signatures can be checked with; told once per kind of trouble. */
  isUnusable(error: unknown): void {
    const message = String(error);
    if (this.#unusable.has(message) || this.#unusable.size >= KEYS_MAX) return;
    this.#unusable.add(message);
    const { name } = this.#source;
    this.#telemetry.log('warn', 'a key of the issuer of tokens cannot be used', { name, error });
  }

  #ask(): Promise<void> {
    this.#asking ??= this.#read().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #read(): Promise<void> {
    this.#askedMs = this.#clock.monotonicMs();
    try {
      const text = await this.#source.read();
      if (text !== this.#keys?.text) {
        this.#keys = parsed(text);
        this.#unusable.clear();
      }
      this.#readMs = this.#clock.monotonicMs();
      this.#lastError = '';
    } catch (error) {
      const { message } = error as Error;
      if (message === this.#lastError) return;
      this.#lastError = message;
      const { name } = this.#source;
      this.#telemetry.log('error', 'the keys of the issuer of tokens are not known', {
        name,
        error,
      });
    }
  }
}

/** Throws an Error that says what is wrong. Only public keys are taken: with a shared secret whoever verifies could sign. */
function parsed(text: string): IssuerKeySet {
  const set = JSON.parse(text) as JSONWebKeySet;
  if (!Array.isArray(set.keys) || set.keys.length > KEYS_MAX) {
    throw new Error(`it is no set of at most ${KEYS_MAX} keys`);
  }
  const keys = set.keys.filter(({ kty }) => kty === 'RSA' || kty === 'EC' || kty === 'OKP');
  if (keys.length === 0) throw new Error('it has no public key');
  return { text, find: createLocalJWKSet({ keys }) };
}
