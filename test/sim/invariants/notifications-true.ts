import { isDeepStrictEqual } from 'node:util';
import type { ModelNotification } from '../model-notifications.ts';
import { nameOfNotification } from '../targets.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

const NAME = 'notifications are told';

/**
 * Every committed change that somebody is to be told of reached its target at least once, or is counted as dropped; nothing else was told, and
 * nothing otherwise than it was; of one key and target, first deliveries are in the order of the changes.
 */
export const notificationsTrue: FinalCheck = {
  name: NAME,
  source: 'ADR 0040; actors/apply/outbox.ts: N1 to N3',
  run: ({ model, arrivals }) => {
    const byName = new Map<string, ModelNotification>();
    for (const one of model.objects.notifications.all) {
      const name = nameOfNotification(one.target, one.notification);
      if (byName.has(name)) throw new SimViolation(NAME, `${shown(name)} is to be told twice`);
      byName.set(name, one);
    }
    /** Revision of the last one that was told for the first time, by target and key. */
    const lastOf = new Map<string, number>();
    const told = new Set<string>();
    for (const { target, notification } of arrivals) {
      const name = nameOfNotification(target, notification);
      const known = byName.get(name);
      if (known === undefined) throw new SimViolation(NAME, `${shown(name)} never happened`);
      if (known.state === 'dropped') {
        throw new SimViolation(NAME, `${shown(name)} was told, and is counted as dropped`);
      }
      if (!isDeepStrictEqual({ ...notification }, { ...known.notification })) {
        const [is, was] = [notification, known.notification].map((one) => JSON.stringify(one));
        throw new SimViolation(NAME, `${shown(name)} was told as ${is}, it was ${was}`);
      }
      if (told.has(name)) continue;
      told.add(name);
      const { ref, revision } = notification;
      const key = [target, ref.tenant, ref.space, ref.key].join('\0');
      const last = lastOf.get(key) ?? 0;
      if (revision < last) {
        throw new SimViolation(NAME, `${shown(name)} was told first after that @${last}`);
      }
      lastOf.set(key, revision);
    }
    for (const [name, { state }] of byName) {
      if (state === 'dropped' || told.has(name)) continue;
      throw new SimViolation(NAME, `${shown(name)} was never told, it counts as ${state}`);
    }
  },
};

function shown(name: string): string {
  return name.replaceAll('\0', ' ');
}
