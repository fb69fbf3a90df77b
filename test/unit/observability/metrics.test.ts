import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { METRICS } from '../../../observability/metrics.ts';

const ROOT = new URL('../../../', import.meta.url);
const FOLDERS = ['storage', 'actors', 'gateways', 'observability', 'cli'];
/** `telemetry.count('name'`, also through a wrapper such as `this.#count('name'`; the table's own verbs too. */
const REPORT =
  /\b(count|counterOf|gauge|gaugeOf|timeMs|timerOf|add|set)\(\s*'([a-z][a-z0-9_]*)',?\s*/g;
const KINDS: Record<string, string> = {
  count: 'counter',
  counterOf: 'counter',
  add: 'counter',
  gauge: 'gauge',
  gaugeOf: 'gauge',
  set: 'gauge',
  timeMs: 'histogram',
  timerOf: 'histogram',
};

function reports(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const folder of FOLDERS) {
    for (const name of readdirSync(new URL(folder, ROOT), { recursive: true }) as string[]) {
      if (!name.endsWith('.ts')) continue;
      const text = readFileSync(new URL(`${folder}/${name}`, ROOT), 'utf8');
      for (const [, verb = '', metric = ''] of text.matchAll(REPORT)) {
        // `add` and `set` are common words; they only mean a metric where they name one.
        if ((verb === 'add' || verb === 'set') && !Object.hasOwn(METRICS, metric)) continue;
        found.set(metric, (found.get(metric) ?? new Set()).add(KINDS[verb]!));
      }
    }
  }
  return found;
}

describe('the catalogue of metrics', () => {
  it('has every name that the code reports, of the kind it is reported as', () => {
    for (const [name, kinds] of reports()) {
      const row = METRICS[name as keyof typeof METRICS];
      expect(row, `${name} is reported, but is not in observability/metrics.ts`).toBeDefined();
      expect([...kinds], `${name} is reported as another kind`).toEqual([row.kind]);
    }
  });

  it('has no name that nothing reports', () => {
    const reported = reports();
    expect(Object.keys(METRICS).filter((name) => !reported.has(name))).toEqual([]);
  });
});
