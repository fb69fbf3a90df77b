import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import {
  NOTIFICATION,
  NOTIFIED_EVENTS,
  type NotificationRule,
} from '../../protocol/notifications.ts';
import { randomHex } from '../../protocol/random.ts';
import { type Answer, emptyAnswer, xmlAnswer } from './answer.ts';
import { bodyOf, change } from './bucket-settings.ts';
import type { Call } from './call.ts';
import { s3Error } from './errors.ts';
import {
  allTargets,
  checkOverlaps,
  eventsOf,
  keyFilterOf,
  type NotificationConfiguration,
  type NotificationTarget,
  notificationConfiguration,
} from './notification.ts';
import { engineKeyOf } from './object-key.ts';

/** Notifications of a bucket: apply writes them down, actors/notify sends them. */

const ID_BYTES = 12;

const EMPTY: NotificationConfiguration = {
  ...{ topics: [], queues: [], functions: [], eventBridge: null },
};

export async function getBucketNotification(call: Call): Promise<Answer> {
  const { documents } = await call.bucket();
  return xmlAnswer(documents[NOTIFICATION] ?? notificationConfiguration.write(EMPTY));
}

/** The whole of it: what is not named is gone. */
export async function putBucketNotification(call: Call): Promise<Answer> {
  const wanted = named(call, await bodyOf(call, notificationConfiguration));
  const { owner } = await call.bucket();
  if (wanted.eventBridge !== null) {
    throw s3Error('NotImplemented', 'There is no EventBridge here: name a subject of NATS');
  }
  const all = allTargets(wanted);
  checkOverlaps(all);
  const rules = all.map((one) => ({ ...ruleOf(call, one), bucketOwner: owner }));
  if (call.header('x-amz-skip-destination-validation')?.toLowerCase() !== 'true') {
    await sendTests(call, all, rules);
  }
  await change(call, {
    documents: {
      [NOTIFICATION]: all.length === 0 ? null : notificationConfiguration.write(wanted),
    },
    // What never happens here needs no rule.
    notifications: rules.filter(({ events }) => events.length > 0),
  });
  return emptyAnswer(200);
}

/** Every target has an id. */
function named(call: Call, wanted: NotificationConfiguration): NotificationConfiguration {
  const { random } = call.edge.http;
  const withId = (one: NotificationTarget): NotificationTarget => ({
    ...one,
    id: one.id === null || one.id === '' ? randomHex(random, ID_BYTES) : one.id,
  });
  return {
    ...wanted,
    topics: wanted.topics.map(withId),
    queues: wanted.queues.map(withId),
    functions: wanted.functions.map(withId),
  };
}

/** Throws InvalidArgument where nobody can be told under this ARN. */
function ruleOf(call: Call, one: NotificationTarget): NotificationRule {
  const target = call.edge.notifications?.targetOf(one.arn) ?? null;
  if (target === null) throw unreachable(one.arn, 'The destination does not exist');
  const { prefix, suffix } = keyFilterOf(one);
  const known = new Set<string>(NOTIFIED_EVENTS);
  const rule = {
    ...{ id: one.id ?? '', target, prefix: engineKeyOf(prefix), suffix: engineKeyOf(suffix) },
    events: eventsOf(one).filter((event): event is NotificationRule['events'][number] =>
      known.has(event),
    ),
  };
  if (Math.max(rule.prefix.length, rule.suffix.length) <= LIMITS.keyBytesMax) return rule;
  throw s3Error('InvalidArgument', 'Size of filter rule value cannot exceed 1024 bytes in UTF-8', {
    ArgumentName: 'FilterRule.Value',
  });
}

/** Each target takes one event of a test, as S3 sends it, or the configuration is refused. */
async function sendTests(
  call: Call,
  all: readonly NotificationTarget[],
  rules: readonly NotificationRule[],
): Promise<void> {
  const arns = new Map(rules.map(({ target }, i) => [target, all[i]?.arn ?? '']));
  const { bucket } = call.route;
  const { requestId, edge, nowMs } = call;
  const document = JSON.stringify({
    ...{ Service: 'Amazon S3', Event: 's3:TestEvent', Time: new Date(nowMs).toISOString() },
    ...{ Bucket: bucket, RequestId: requestId, HostId: requestId },
  });
  const id = `test-${randomHex(edge.http.random, ID_BYTES)}`;
  const sending = [...arns].map(async ([target, arn]) => {
    try {
      await edge.notifications?.send(target, document, id);
    } catch (error) {
      if (!(error instanceof Error) || error instanceof AppError) throw error;
      throw unreachable(arn, `The destination did not take a test event: ${error.message}`);
    }
  });
  await Promise.all(sending);
}

function unreachable(arn: string, why: string) {
  return s3Error('InvalidArgument', 'Unable to validate the following destination configurations', {
    ArgumentName: arn,
    ArgumentValue: why,
  });
}
