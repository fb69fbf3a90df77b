import { LIMITS } from '../../protocol/limits.ts';
import { s3Error } from './errors.ts';
import { empty, text } from './xml-scalars.ts';
import { document, type Field, many, maybe, one, type Shape, struct } from './xml-shape.ts';

export interface FilterRule {
  readonly name: string;
  readonly value: string;
}

/** One target of notifications; `arn` names it, whatever kind of target it is. */
export interface NotificationTarget {
  readonly events: readonly string[];
  readonly filter: { readonly key: { readonly rules: readonly FilterRule[] } | null } | null;
  /** Null where a client gave none: the caller draws one. */
  readonly id: string | null;
  readonly arn: string;
}

export interface NotificationConfiguration {
  readonly topics: readonly NotificationTarget[];
  readonly queues: readonly NotificationTarget[];
  readonly functions: readonly NotificationTarget[];
  readonly eventBridge: true | null;
}

/** Event types of the S3 user guide. One that ends with `*` stands for all that begin like it. */
export const EVENT_TYPES: ReadonlySet<string> = new Set(
  [
    'TestEvent',
    ...['ObjectCreated:*', 'ObjectCreated:Put', 'ObjectCreated:Post', 'ObjectCreated:Copy'],
    'ObjectCreated:CompleteMultipartUpload',
    ...['ObjectRemoved:*', 'ObjectRemoved:Delete', 'ObjectRemoved:DeleteMarkerCreated'],
    ...['ObjectRestore:*', 'ObjectRestore:Post', 'ObjectRestore:Completed', 'ObjectRestore:Delete'],
    'ReducedRedundancyLostObject',
    ...['Replication:*', 'Replication:OperationFailedReplication'],
    'Replication:OperationMissedThreshold',
    'Replication:OperationReplicatedAfterThreshold',
    'Replication:OperationNotTracked',
    ...['LifecycleExpiration:*', 'LifecycleExpiration:Delete'],
    'LifecycleExpiration:DeleteMarkerCreated',
    ...['LifecycleTransition', 'IntelligentTiering', 'ObjectAcl:Put'],
    ...['ObjectTagging:*', 'ObjectTagging:Put', 'ObjectTagging:Delete'],
  ].map((name) => `s3:${name}`),
);

const filterRule: Shape<FilterRule> = struct({
  name: one('Name', text(1, 16)),
  value: one('Value', text(0, 1024)),
});

const filter = struct<{ key: { readonly rules: readonly FilterRule[] } | null }>({
  key: maybe(
    'S3Key',
    struct<{ rules: readonly FilterRule[] }>({ rules: many('FilterRule', filterRule, 0, 10) }),
  ),
});

function targets(name: string, arnName: string): Field<readonly NotificationTarget[]> {
  const shape: Shape<NotificationTarget> = struct({
    events: many('Event', text(1, 128), 1, 100),
    filter: maybe('Filter', filter),
    id: maybe('Id', text(0, 255)),
    arn: one(arnName, text(1, 2048)),
  });
  return many(name, shape, 0, LIMITS.notificationRulesMax);
}

/** A document without any target switches notifications off. */
export const notificationConfiguration = document<NotificationConfiguration>(
  'NotificationConfiguration',
  struct({
    topics: targets('TopicConfiguration', 'Topic'),
    queues: targets('QueueConfiguration', 'Queue'),
    functions: targets('CloudFunctionConfiguration', 'CloudFunction'),
    eventBridge: maybe('EventBridgeConfiguration', empty),
  }),
  { check: checkConfiguration },
);

function checkConfiguration({ topics, queues, functions }: NotificationConfiguration): void {
  const ids = new Set<string>();
  const all = [...topics, ...queues, ...functions];
  if (all.length > LIMITS.notificationRulesMax) {
    throw s3Error(
      'InvalidArgument',
      `At most ${LIMITS.notificationRulesMax} configurations are allowed`,
    );
  }
  for (const target of all) {
    for (const event of target.events) {
      if (EVENT_TYPES.has(event)) continue;
      throw s3Error('InvalidArgument', 'The event is not supported for notifications', {
        ArgumentName: 'Event',
        ArgumentValue: event,
      });
    }
    checkFilter(target.filter?.key?.rules ?? []);
    if (target.id === null || target.id === '') continue;
    if (ids.has(target.id)) {
      throw s3Error('InvalidArgument', 'Same ID used for multiple configurations');
    }
    ids.add(target.id);
  }
}

function checkFilter(rules: readonly FilterRule[]): void {
  const seen = new Set<string>();
  for (const { name } of rules) {
    const kind = name.toLowerCase();
    if (kind !== 'prefix' && kind !== 'suffix') {
      throw s3Error('InvalidArgument', 'filter rule name must be either prefix or suffix');
    }
    if (seen.has(kind)) {
      throw s3Error('InvalidArgument', `Cannot specify more than one ${kind} rule in a filter.`);
    }
    seen.add(kind);
  }
}

/** The prefix and suffix that a key must have; empty where a target does not ask for one. */
export function keyFilterOf(target: NotificationTarget): { prefix: string; suffix: string } {
  const rules = target.filter?.key?.rules ?? [];
  const given = (kind: string) =>
    rules.find(({ name }) => name.toLowerCase() === kind)?.value ?? '';
  return { prefix: given('prefix'), suffix: given('suffix') };
}

export function allTargets(value: NotificationConfiguration): NotificationTarget[] {
  return [...value.topics, ...value.queues, ...value.functions];
}

/** Single events that a target asks for, wildcards resolved, without `s3:`. */
export function eventsOf({ events }: NotificationTarget): string[] {
  const found = new Set<string>();
  for (const event of events) {
    const head = event.endsWith('*') ? event.slice(0, -1) : null;
    for (const type of EVENT_TYPES) {
      const isAsked = head === null ? type === event : type.startsWith(head);
      if (isAsked && !type.endsWith('*')) found.add(type.slice('s3:'.length));
    }
  }
  return [...found];
}

/** Throws InvalidArgument where one change would be told by two of them. */
export function checkOverlaps(all: readonly NotificationTarget[]): void {
  const known = all.map((one) => ({ ...keyFilterOf(one), events: eventsOf(one) }));
  for (const [i, one] of known.entries()) {
    for (const other of known.slice(i + 1)) {
      const event = one.events.find((name) => other.events.includes(name));
      const isApart =
        !(one.prefix.startsWith(other.prefix) || other.prefix.startsWith(one.prefix)) ||
        !(one.suffix.endsWith(other.suffix) || other.suffix.endsWith(one.suffix));
      if (event === undefined || isApart) continue;
      throw s3Error(
        'InvalidArgument',
        'Configurations overlap. Configurations on the same bucket cannot share a common event type.',
        { ArgumentName: 'Event', ArgumentValue: `s3:${event}` },
      );
    }
  }
}
