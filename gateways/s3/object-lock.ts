import { s3Error } from './errors.ts';
import { malformedXml } from './xml-reader.ts';
import { choice, instant, integer } from './xml-scalars.ts';
import { document, maybe, one, type Shape, struct } from './xml-shape.ts';

export const RETENTION_MODES = ['GOVERNANCE', 'COMPLIANCE'] as const;
export type RetentionMode = (typeof RETENTION_MODES)[number];

/** Either days or years. */
export interface DefaultRetention {
  readonly days: number | null;
  readonly mode: RetentionMode;
  readonly years: number | null;
}

export interface ObjectLockConfiguration {
  readonly objectLockEnabled: 'Enabled' | null;
  readonly rule: { readonly defaultRetention: DefaultRetention } | null;
}

const DAYS_MAX = 36_500;
const YEARS_MAX = 100;

const retentionShape: Shape<DefaultRetention> = struct(
  {
    days: maybe('Days', integer),
    mode: one('Mode', choice(RETENTION_MODES)),
    years: maybe('Years', integer),
  },
  ['DefaultEventHold'],
);

export const objectLockConfiguration = document<ObjectLockConfiguration>(
  'ObjectLockConfiguration',
  struct<ObjectLockConfiguration>({
    objectLockEnabled: maybe('ObjectLockEnabled', choice(['Enabled'])),
    rule: maybe(
      'Rule',
      struct<{ defaultRetention: DefaultRetention }>({
        defaultRetention: one('DefaultRetention', retentionShape),
      }),
    ),
  }),
  {
    check({ objectLockEnabled, rule }) {
      if (objectLockEnabled === null) throw malformedXml('ObjectLockEnabled is missing');
      if (rule !== null) checkDefault(rule.defaultRetention);
    },
  },
);

function checkDefault({ days, years }: DefaultRetention): void {
  if ((days === null) === (years === null)) throw malformedXml('either Days or Years');
  if ((days ?? 1) < 1 || (years ?? 1) < 1) throw s3Error('InvalidRetentionPeriod');
  if ((days ?? 1) > DAYS_MAX || (years ?? 1) > YEARS_MAX) {
    throw s3Error('InvalidRetentionPeriod', 'The retention period is too large');
  }
}

/** How long a version is kept. Both are null in a request that takes the retention away. */
export interface Retention {
  readonly mode: RetentionMode | null;
  readonly retainUntilMs: number | null;
}

export const retention = document<Retention>(
  'Retention',
  struct<Retention>(
    {
      mode: maybe('Mode', choice(RETENTION_MODES)),
      retainUntilMs: maybe('RetainUntilDate', instant),
    },
    ['EventHold', 'EventHoldDuration'],
  ),
  {
    check({ mode, retainUntilMs }) {
      if ((mode === null) !== (retainUntilMs === null)) {
        throw malformedXml('Mode and RetainUntilDate belong together');
      }
    },
  },
);

export interface LegalHold {
  readonly status: 'ON' | 'OFF';
}

export const legalHold = document<LegalHold>(
  'LegalHold',
  struct({ status: one('Status', choice(['ON', 'OFF'])) }),
);

/** Throws InvalidArgument where a retention would have ended already. */
export function checkRetainUntil(retainUntilMs: number, nowMs: number): void {
  if (retainUntilMs > nowMs) return;
  throw s3Error('InvalidArgument', 'The retain until date must be in the future!');
}
