import {
  type LifecycleConfiguration,
  type LifecycleExpiration,
  type LifecycleFilter,
  type LifecycleRule,
  type LifecycleSelection,
  type NoncurrentVersionExpiration,
  selectionOf,
} from '../../protocol/lifecycle.ts';
import { OBJECT_TAGS_MAX } from '../../protocol/object-tags.ts';
import { s3Error } from './errors.ts';
import { checkTags, tagShape } from './tagging.ts';
import { malformedXml } from './xml-reader.ts';
import { choice, flag, instant, integer, text } from './xml-scalars.ts';
import { document, many, maybe, one, type Shape, struct } from './xml-shape.ts';

const RULES_MAX = 1000;
const ID_LENGTH_MAX = 255;
const PREFIX_LENGTH_MAX = 1024;
const DAYS_MAX = 2_147_483_647;
const DAY_MS = 86_400_000;

const selectionFields = {
  objectSizeGreaterThan: maybe('ObjectSizeGreaterThan', integer),
  objectSizeLessThan: maybe('ObjectSizeLessThan', integer),
  prefix: maybe('Prefix', text(0, PREFIX_LENGTH_MAX)),
  tags: many('Tag', tagShape, 0, 1000),
};

/** Nothing moves between storage classes here. */
const rule: Shape<LifecycleRule> = struct(
  {
    abortIncompleteMultipartUpload: maybe(
      'AbortIncompleteMultipartUpload',
      struct({ daysAfterInitiation: one('DaysAfterInitiation', integer) }),
    ),
    expiration: maybe(
      'Expiration',
      struct<LifecycleExpiration>({
        dateMs: maybe('Date', instant),
        days: maybe('Days', integer),
        expiredObjectDeleteMarker: maybe('ExpiredObjectDeleteMarker', flag),
      }),
    ),
    filter: maybe(
      'Filter',
      struct<LifecycleFilter>({
        and: maybe('And', struct<LifecycleSelection>(selectionFields)),
        ...selectionFields,
      }),
    ),
    id: maybe('ID', text(0, 4096)),
    noncurrentVersionExpiration: maybe(
      'NoncurrentVersionExpiration',
      struct<NoncurrentVersionExpiration>({
        newerNoncurrentVersions: maybe('NewerNoncurrentVersions', integer),
        noncurrentDays: one('NoncurrentDays', integer),
      }),
    ),
    prefix: maybe('Prefix', text(0, PREFIX_LENGTH_MAX)),
    status: one('Status', choice(['Enabled', 'Disabled'])),
  },
  ['Transition', 'NoncurrentVersionTransition'],
);

/** Rules without an ID are for the caller to name: an ID is drawn. */
export const lifecycleConfiguration = document<LifecycleConfiguration>(
  'LifecycleConfiguration',
  struct({ rules: many('Rule', rule, 1, RULES_MAX) }),
  { check: checkRules },
);

function checkRules({ rules }: LifecycleConfiguration): void {
  const ids = new Set<string>();
  for (const each of rules) {
    checkRule(each);
    if (each.id === null || each.id === '') continue;
    if (ids.has(each.id)) {
      throw refused('Rule ID must be unique. Found same ID for more than one rule');
    }
    ids.add(each.id);
  }
}

function checkRule(each: LifecycleRule): void {
  if ((each.id?.length ?? 0) > ID_LENGTH_MAX) {
    throw refused(`ID length should not exceed allowed limit of ${ID_LENGTH_MAX}`);
  }
  const { filter, expiration, noncurrentVersionExpiration: noncurrent } = each;
  const abort = each.abortIncompleteMultipartUpload;
  if ((filter === null) === (each.prefix === null)) {
    throw malformedXml('a rule has either a Filter or a Prefix');
  }
  if (expiration === null && noncurrent === null && abort === null) {
    throw s3Error('InvalidRequest', 'At least one action needs to be specified in a rule');
  }
  if (filter !== null) checkFilter(filter);
  const selection = selectionOf(each);
  if (expiration !== null) checkExpiration(expiration, selection);
  if (noncurrent !== null) checkNoncurrent(noncurrent);
  if (abort === null) return;
  checkDays(abort.daysAfterInitiation, 'DaysAfterInitiation', 'AbortIncompleteMultipartUpload');
  checkSelectedByPrefix(selection, 'AbortIncompleteMultipartUpload');
}

function conditionsOf(selection: LifecycleSelection): number {
  const { prefix, objectSizeGreaterThan, objectSizeLessThan } = selection;
  const given = [prefix, objectSizeGreaterThan, objectSizeLessThan].filter((one) => one !== null);
  return given.length + selection.tags.length;
}

function checkFilter(filter: LifecycleFilter): void {
  if (conditionsOf(filter) + (filter.and === null ? 0 : 1) > 1) {
    throw malformedXml('a Filter has one condition, or several in And');
  }
  if (filter.and !== null && conditionsOf(filter.and) === 0) {
    throw malformedXml('And has no condition');
  }
  const chosen = filter.and ?? filter;
  checkTags(chosen.tags, OBJECT_TAGS_MAX);
  const { objectSizeGreaterThan: above, objectSizeLessThan: below } = chosen;
  if ((above ?? 0) < 0 || (below ?? 1) < 1) {
    throw refused("'ObjectSize' in a Filter must be a positive integer");
  }
  if (above !== null && below !== null && above >= below) {
    throw refused("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'");
  }
}

function checkExpiration(expiration: LifecycleExpiration, selection: LifecycleSelection): void {
  const { dateMs, days, expiredObjectDeleteMarker } = expiration;
  const given = [dateMs, days, expiredObjectDeleteMarker].filter((one) => one !== null);
  if (given.length !== 1) throw malformedXml('Expiration has one of its elements');
  if (days !== null) checkDays(days, 'Days', 'Expiration');
  if (dateMs !== null && dateMs % DAY_MS !== 0) throw refused("'Date' must be at midnight GMT");
  if (expiredObjectDeleteMarker !== null) {
    checkSelectedByPrefix(selection, 'ExpiredObjectDeleteMarker');
  }
}

function checkNoncurrent(expiration: NoncurrentVersionExpiration): void {
  checkDays(expiration.noncurrentDays, 'NoncurrentDays', 'NoncurrentVersionExpiration');
  const kept = expiration.newerNoncurrentVersions;
  if (kept !== null && (kept < 1 || kept > 100)) {
    throw refused("'NewerNoncurrentVersions' must be between 1 and 100");
  }
}

function checkDays(days: number, name: string, action: string): void {
  if (days < 1) throw refused(`'${name}' for ${action} action must be a positive integer`);
  if (days > DAYS_MAX) throw malformedXml(`${name} is too large`);
}

/** Neither uploads nor delete markers have tags or a size. */
function checkSelectedByPrefix(selection: LifecycleSelection, action: string): void {
  const isBySize =
    selection.objectSizeGreaterThan !== null || selection.objectSizeLessThan !== null;
  if (selection.tags.length > 0 || isBySize) {
    throw s3Error('InvalidRequest', `${action} cannot be specified with Tags or object sizes`);
  }
}

function refused(message: string) {
  return s3Error('InvalidArgument', message);
}
