import { makeAuthority, makeClientPair, makeServerPair } from '../../cli/certificates.ts';
import { systemRandom } from '../../cli/system-random.ts';
import type { TlsPair, TlsSource, TlsVersion } from '../../gateways/http/tls.ts';

const maker = () => ({ random: systemRandom(), nowMs: Date.now() });

/** An authority for tests, and pairs that it signs. */
export class TestAuthority {
  readonly pair: TlsPair;

  private constructor(pair: TlsPair) {
    this.pair = pair;
  }

  static async make(name = 'minikv tests'): Promise<TestAuthority> {
    return new TestAuthority(await makeAuthority(name, maker()));
  }

  get cert(): string {
    return this.pair.cert;
  }

  server(names: readonly string[] = ['localhost', '127.0.0.1'], nowMs = Date.now()) {
    return makeServerPair(this.pair, names, { ...maker(), nowMs });
  }

  /** `CN=name`, and alternative names. */
  client(
    name: string,
    others: Parameters<typeof makeClientPair>[2] = [],
    nowMs = Date.now(),
  ): Promise<TlsPair> {
    return makeClientPair(this.pair, name, others, { ...maker(), nowMs });
  }
}

/** A pair that a test replaces. */
export class HandTls implements TlsSource {
  readonly minVersion: TlsVersion;
  readonly #runs: ((pair: TlsPair) => void)[] = [];
  #pair: TlsPair;

  constructor(pair: TlsPair, minVersion: TlsVersion = 'TLSv1.2') {
    this.#pair = pair;
    this.minVersion = minVersion;
  }

  pair(): TlsPair {
    return this.#pair;
  }

  onReplaced(run: (pair: TlsPair) => void): void {
    this.#runs.push(run);
  }

  replace(pair: TlsPair): void {
    this.#pair = pair;
    for (const run of this.#runs) run(pair);
  }
}
