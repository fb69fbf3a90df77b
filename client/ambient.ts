/**
 * The only things this library takes from where it runs beside `fetch`: time, chance and timers, each as
 * Node.js and browsers both have it.
 */

/** Monotonic. */
export function nowMs(): number {
  return performance.now();
}

/** From `lowMs` to twice of it: whoever failed together must not come back together. */
export function jittered(lowMs: number): number {
  return lowMs * (1 + Math.random());
}

/** Resolves after `ms`, or at once when the signal is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Runs `run` after `ms`; the answer cancels it. */
export function after(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}

/** 128 random bits as hex. `crypto.randomUUID` is missing on pages that were not loaded over TLS. */
export function uniqueId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Where a page came from; null outside of browsers. */
export function pageOrigin(): string | null {
  const { location } = globalThis as { location?: { origin?: string } };
  const origin = location?.origin;
  return origin?.startsWith('http') ? origin : null;
}
