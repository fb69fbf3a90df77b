import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import {
  belongTogether,
  checkPair,
  type TlsPair,
  type TlsSource,
  type TlsVersion,
} from '../gateways/http/tls.ts';
import type { Telemetry } from '../observability/port.ts';
import type { Clock } from '../protocol/clock.ts';
import { UsageError } from './failures.ts';
import { readSecret } from './secret-file.ts';

/** Where the ports have their certificate from. */
export interface TlsConfig {
  readonly certFile: string;
  readonly keyFile: string;
  /** Null: clients are asked for no certificate. */
  readonly clientCaFile: string | null;
  readonly minVersion: TlsVersion;
}

interface Texts {
  text(key: string): string | null;
  oneOf<T extends string>(key: string, choices: readonly T[]): T;
}

/** Null: plain HTTP. Throws UsageError. */
export function tlsConfig(read: Texts): TlsConfig | null {
  const [certFile, keyFile] = [read.text('tls-cert'), read.text('tls-key')];
  const minVersion = `TLSv${read.oneOf('tls-min-version', ['1.2', '1.3'])}` as const;
  const clientCaFile = read.text('tls-client-ca');
  if (certFile !== null && keyFile !== null) return { certFile, keyFile, clientCaFile, minVersion };
  if (certFile === null && keyFile === null) {
    if (clientCaFile === null) return null;
    throw new UsageError('tls-client-ca needs tls-cert and tls-key');
  }
  throw new UsageError('tls-cert and tls-key go together');
}

/** The files are looked at so often. */
const LOOK_MS = 2_000;

/** A certificate and its key in files. What replaces them is used from then on; what cannot be used is told, and passed over. */
export class TlsFiles implements TlsSource {
  readonly minVersion: TlsVersion;
  readonly #config: TlsConfig;
  readonly #parts: { readonly clock: Clock; readonly telemetry: Telemetry };
  readonly #runs: ((pair: TlsPair) => void)[] = [];
  #pair: TlsPair;
  /** What was found last, good or not; an error is told once. */
  #seen: string;
  #cancel: () => void = () => {};

  /** Throws an Error where there is no pair that can be used. */
  constructor(config: TlsConfig, parts: { readonly clock: Clock; readonly telemetry: Telemetry }) {
    this.#config = config;
    this.#parts = parts;
    this.minVersion = config.minVersion;
    const pair = {
      cert: readFileSync(config.certFile, 'utf8'),
      key: readFileSync(config.keyFile, 'utf8'),
      ...clientCa(config, (file) => readFileSync(file, 'utf8')),
    };
    const next = nextCertificate(config.certFile);
    this.#pair = finished(pair, () => (existsSync(next) ? readFileSync(next, 'utf8') : null));
    this.#seen = textOf(this.#pair);
    this.#tell(this.#pair);
    this.#lookLater();
  }

  pair(): TlsPair {
    return this.#pair;
  }

  onReplaced(run: (pair: TlsPair) => void): void {
    this.#runs.push(run);
  }

  stop(): void {
    this.#cancel();
    this.#cancel = () => {};
  }

  #lookLater(): void {
    this.#cancel = this.#parts.clock.after(LOOK_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    const cancel = this.#cancel;
    const { certFile, keyFile, clientCaFile } = this.#config;
    try {
      const [cert, key, ca = null] = await Promise.all([
        readFile(certFile, 'utf8'),
        readFile(keyFile, 'utf8'),
        ...(clientCaFile === null ? [] : [readFile(clientCaFile, 'utf8')]),
      ]);
      const pair = { cert, key, ...(ca === null ? {} : { clientCa: ca }) };
      const next = belongTogether(pair) ? null : await readSecret(nextCertificate(certFile));
      this.#take(finished(pair, () => next));
    } catch (error) {
      this.#refuse(String((error as NodeJS.ErrnoException).code), error as Error);
    }
    if (this.#cancel === cancel) this.#lookLater();
  }

  #take(pair: TlsPair): void {
    if (this.#seen === textOf(pair)) return;
    try {
      this.#tell(pair);
    } catch (error) {
      this.#refuse(textOf(pair), error as Error);
      return;
    }
    this.#seen = textOf(pair);
    this.#pair = pair;
    for (const run of this.#runs) run(pair);
  }

  #tell(pair: TlsPair): void {
    const { telemetry, clock } = this.#parts;
    const { subject, names, endsAtMs } = checkPair(pair);
    const ends = new Date(endsAtMs).toISOString();
    const isOver = endsAtMs <= clock.wallMs();
    telemetry.log(isOver ? 'warn' : 'info', isOver ? 'the certificate has ended' : 'certificate', {
      ...{ subject, names, ends, file: this.#config.certFile },
    });
    telemetry.gauge('tls_certificate_ends_seconds', endsAtMs / 1000);
  }

  #refuse(found: string, error: Error): void {
    if (this.#seen === found) return;
    this.#seen = found;
    const { certFile, keyFile, clientCaFile } = this.#config;
    this.#parts.telemetry.log('error', 'the new certificate is not used', {
      ...{ certFile, keyFile, clientCaFile, error },
    });
  }
}

/** Where a new certificate lies while its key takes the place of the old one (`minikv init --renew`). */
export function nextCertificate(certFile: string): string {
  return `${certFile}.next`;
}

/** A pair whose replacement was cut off in the middle is the new one: its certificate is there, too. */
function finished(pair: TlsPair, next: () => string | null): TlsPair {
  if (belongTogether(pair)) return pair;
  const cert = next();
  const other = cert === null ? pair : { ...pair, cert };
  return belongTogether(other) ? other : pair;
}

function textOf({ cert, key, clientCa = '' }: TlsPair): string {
  return `${cert}\n${key}\n${clientCa}`;
}

function clientCa(
  { clientCaFile }: TlsConfig,
  read: (file: string) => string,
): Pick<TlsPair, 'clientCa'> {
  return clientCaFile === null ? {} : { clientCa: read(clientCaFile) };
}
