import type { ConfigKey } from './config-key.ts';
import { UsageError } from './failures.ts';

/** One setting, and what decided it: `--port`, `MINIKV_PORT`, the file's path, or `default`. */
export interface Setting {
  readonly key: string;
  readonly value: string | null;
  readonly from: string;
  readonly secret: ConfigKey['secret'] | null;
}

/** A setting's value for people: passwords inside URLs become `***`. */
export function shown(setting: Setting): string | null {
  if (setting.value === null || setting.secret === null) return setting.value;
  if (setting.secret === 'all') return '***';
  // A token of the text up to an @ is a user, a password or both; so may be a query.
  return setting.value.replace(/(^|,|\/\/)[^/@,]*@/g, '$1***@').replace(/\?[^,]*/g, '?***');
}

/** Reads typed values out of the settings; every refusal names where the value came from. */
export class Reader {
  readonly #settings: ReadonlyMap<string, Setting>;

  constructor(settings: readonly Setting[]) {
    this.#settings = new Map(settings.map((setting) => [setting.key, setting]));
  }

  text(key: string): string | null {
    const value = this.#settings.get(key)?.value ?? null;
    return value === '' ? null : value;
  }

  /** A text that must pass `accept` (which gives null for what is not valid). */
  parsed<T>(key: string, wanted: string, accept: (text: string) => T | null): T {
    const accepted = accept(this.text(key) ?? '');
    if (accepted === null) throw this.refusal(key, wanted);
    return accepted;
  }

  /** The same of one that may be left out. */
  optional<T>(key: string, wanted: string, accept: (text: string) => T | null): T | null {
    return this.text(key) === null ? null : this.parsed(key, wanted, accept);
  }

  oneOf<T extends string>(key: string, choices: readonly T[]): T {
    return this.parsed(
      key,
      `one of ${choices.join(', ')}`,
      (text) => choices.find((c) => c === text) ?? null,
    );
  }

  integer(key: string, min: number, max: number): number {
    return this.parsed(key, `an integer from ${min} to ${max}`, (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : -1;
      return value >= min && value <= max ? value : null;
    });
  }

  boolean(key: string): boolean {
    return this.oneOf(key, ['true', 'false', '1', '0']).replace('1', 'true') === 'true';
  }

  list<T>(key: string, wanted: string, accept: (text: string) => T | null): T[] {
    const parts = (this.text(key) ?? '').split(',').map((part) => part.trim());
    return parts
      .filter((part) => part !== '')
      .map((part) => {
        const accepted = accept(part);
        if (accepted === null) throw this.refusal(key, wanted);
        return accepted;
      });
  }

  refusal(key: string, wanted: string): UsageError {
    const setting = this.#settings.get(key)!;
    // What could not be understood could not be masked either.
    if (setting.secret) return new UsageError(`${key} must be ${wanted} (from ${setting.from})`);
    return new UsageError(
      `${key} must be ${wanted}, not "${shown(setting) ?? ''}" (from ${setting.from})`,
    );
  }
}
