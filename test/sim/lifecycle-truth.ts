import {
  encodeLifecycle,
  LIFECYCLE,
  type LifecycleConfiguration,
} from '../../protocol/lifecycle.ts';
import type { ObjectOpOf } from '../../protocol/object-ops.ts';
import type { Random } from '../../protocol/random.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { idOf, type ModelVersion } from '../check/object-model.ts';
import { SIM_WALL_START_MS } from './sim-clock.ts';
import { SimViolation } from './violation.ts';
import type { World } from './world.ts';

/** Buckets whose versions end by rules, and the truth of what rules may take away. */

export const EXPIRING = 'sim-expiring';
/** With versions. */
export const AGEING = 'sim-ageing';
export const RULED = [EXPIRING, AGEING] as const;
/** A day of lifecycle rules in the simulator. */
export const LIFECYCLE_DAY_MS = 1_500;
/** Keys that the first rule is for; others must stay. */
export const DUE_PREFIX = 'd';
const NEWER_KEPT = 1;

const NO_SELECTION = {
  tags: [],
  objectSizeGreaterThan: null,
  objectSizeLessThan: null,
  and: null,
};

/** Current versions and markers under DUE_PREFIX after a day, noncurrent ones too, but for one that is kept. */
export const RULES: LifecycleConfiguration = {
  rules: [
    {
      id: 'ends',
      status: 'Enabled',
      prefix: null,
      filter: { prefix: DUE_PREFIX, ...NO_SELECTION },
      expiration: { dateMs: null, days: 1, expiredObjectDeleteMarker: null },
      noncurrentVersionExpiration: { noncurrentDays: 1, newerNoncurrentVersions: NEWER_KEPT },
      abortIncompleteMultipartUpload: { daysAfterInitiation: 1 },
    },
  ],
};

/** Whether rules may take this away at `revision`: `all` are the key's versions before it, newest first. */
export function checkExpired(
  { ref, versionId }: ObjectOpOf<'expire'>,
  all: readonly ModelVersion[],
  revision: number,
): void {
  const at = all.findIndex((one) => idOf(one) === versionId);
  const found = all[at];
  const refuse = (why: string): never => {
    throw new SimViolation('lifecycle takes away what is due', `${ref.key} ${versionId}: ${why}`);
  };
  if (found === undefined) return refuse('it was not there');
  if (!ref.key.startsWith(DUE_PREFIX)) refuse('no rule is for it');
  const since = at === 0 ? found.putAt : (all[at - 1] as ModelVersion).putAt;
  const nowMs = wallMsOfRevision(revision);
  const days = (nowMs - wallMsOfRevision(since)) / LIFECYCLE_DAY_MS;
  if (days < 1) refuse(`after ${days} days`);
  if (at > 0 && at - 1 < NEWER_KEPT) refuse('it was to be kept');
  if (at === 0 && found.isMarker && all.length > 1) refuse('the marker was not alone');
  const { retention, legalHold } = found.head ?? { retention: null, legalHold: false };
  const isKept = retention !== null && retention.untilMs > nowMs;
  if (at > 0 && (isKept || legalHold)) refuse('it was locked');
}

/** From virtual ms until rules take away what is a day old, or a little longer. */
export function untilDue(nowMs: number, random: Random): number {
  const sinceDueMs = (SIM_WALL_START_MS + nowMs) % LIFECYCLE_DAY_MS;
  return LIFECYCLE_DAY_MS - sinceDueMs + random.next() * 100;
}

/** What a bucket is made with. */
export function settingsOf(bucket: string) {
  const isRuled = bucket === EXPIRING || bucket === AGEING;
  const documents: Record<string, string> = isRuled ? { [LIFECYCLE]: encodeLifecycle(RULES) } : {};
  return { objectLock: bucket === AGEING, documents };
}

/** After the heal: rules go on until all is gone that they are for, and that no lock holds. */
export async function rulesCarriedOut(world: World): Promise<void> {
  const left = () =>
    RULED.flatMap((bucket) => {
      const byKey = new Map<string, ModelVersion[]>();
      for (const { key, version } of world.model.objects.versions(world.groups(), bucket)) {
        if (key.startsWith(DUE_PREFIX)) byKey.set(key, [...(byKey.get(key) ?? []), version]);
      }
      return [...byKey.values()].filter(([newest, ...others]) => {
        return newest?.isMarker !== true || others.length !== NEWER_KEPT;
      });
    });
  while (left().length > 0) await world.sleep(200);
}
