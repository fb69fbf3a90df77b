import { readFileSync } from 'node:fs';

/** The version in package.json, which lies one folder up from the source and two from the build. */
export function ownVersion(): string {
  for (const up of ['..', '../..']) {
    try {
      const text = readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8');
      const { name, version } = JSON.parse(text) as { name?: string; version?: string };
      if (name === 'minikv' && version !== undefined) return version;
    } catch {
      // Not there; one folder further up.
    }
  }
  return '0.0.0';
}
