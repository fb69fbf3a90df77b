import { Client, parseEndpoints } from '../client.ts';
import { UsageError } from '../failures.ts';
import type { Io } from '../io.ts';

/** What every client command has. */
export interface Context {
  readonly io: Io;
  readonly client: Client;
  /** `--json`: standard output is for programs, one JSON document per line. */
  readonly json: boolean;
}

export interface ClientFlags {
  readonly endpoint?: string;
  readonly timeout?: string;
  readonly json?: boolean;
}

export const ENDPOINT_DEFAULT = 'http://127.0.0.1:8080';

/** `--endpoint` over MINIKV_ENDPOINT over a node on this machine. Throws UsageError. */
export function openContext(io: Io, flags: ClientFlags): Context {
  const endpoints = parseEndpoints(flags.endpoint ?? io.env['MINIKV_ENDPOINT'] ?? ENDPOINT_DEFAULT);
  const timeoutMs = numberOf(flags.timeout ?? '15', '--timeout', 0.1, 3600) * 1000;
  const apiKey = io.env['MINIKV_API_KEY'] || undefined;
  const client = new Client(io, { endpoints, timeoutMs, apiKey });
  return { io, client, json: flags.json === true };
}

export function printJson(io: Io, value: unknown): Promise<void> {
  return io.out(`${JSON.stringify(value)}\n`);
}

/** A number typed by the user. Throws UsageError. */
export function numberOf(text: string, name: string, min: number, max: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= min && value <= max) return value;
  throw new UsageError(`${name} must be a number from ${min} to ${max}, not "${text}"`);
}

export function countOf(text: string, name: string, min: number, max: number): number {
  const value = numberOf(text, name, min, max);
  if (Number.isSafeInteger(value)) return value;
  throw new UsageError(`${name} must be a whole number, not "${text}"`);
}

/** An item as JSON answers carry it. */
export interface JsonItem {
  readonly key?: string;
  readonly keyBase64?: string;
  readonly value?: string;
  readonly base64?: string;
  readonly revision: number;
  readonly contentType?: string;
  readonly expiresAt?: string;
}

/** A key for people: one that is not UTF-8 is shown as `base64:...`. */
export function keyText(item: { readonly key?: string; readonly keyBase64?: string }): string {
  return item.key ?? `base64:${item.keyBase64 ?? ''}`;
}

/** A value for people; what is not text is shown as `base64:...`. */
export function valueText(item: { readonly value?: string; readonly base64?: string }): string {
  return item.value ?? `base64:${item.base64 ?? ''}`;
}

/** `{value}` where the bytes are UTF-8, else `{base64}`. */
export function valueJson(bytes: Uint8Array): { value: string } | { base64: string } {
  try {
    return { value: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') };
  }
}
