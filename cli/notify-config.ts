import { isSubjectPattern } from '../gateways/notify/subjects.ts';
import type { NotifyConfig } from '../gateways/notify/targets.ts';
import { UsageError } from './failures.ts';

/** What settings are read with. */
interface ListReader {
  list<T>(key: string, wanted: string, accept: (text: string) => T | null): T[];
}

type Pair = readonly [name: string, value: string];

const NAMED = /^([A-Za-z0-9_-]{1,64})=(.+)$/;

/** Throws UsageError. */
export function notifyConfig(read: ListReader): NotifyConfig {
  const urls = read.list('notify-webhooks', 'name=url, with http or https', (text): Pair | null => {
    const pair = pairOf(text);
    return pair !== null && isHttpUrl(pair[1]) ? pair : null;
  });
  const secrets = read.list('notify-webhook-secrets', 'name=secret', pairOf);
  const names = urls.map(([name]) => name);
  if (new Set(names).size !== names.length) {
    throw new UsageError('notify-webhooks names a webhook twice');
  }
  const unknown = secrets.find(([name]) => !names.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`notify-webhook-secrets names ${unknown[0]}, which is no webhook`);
  }
  const secretOf = new Map(secrets);
  return {
    webhooks: urls.map(([name, url]) => ({ name, url, secret: secretOf.get(name) ?? null })),
    natsSubjects: read.list('notify-nats-subjects', 'subjects, with * and >', (text) =>
      isSubjectPattern(text) ? text : null,
    ),
  };
}

function pairOf(text: string): Pair | null {
  const [, name, value] = NAMED.exec(text) ?? [];
  return name === undefined || value === undefined ? null : [name, value];
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}
