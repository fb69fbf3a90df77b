import type { NotificationPort } from '../../actors/kit/ports.ts';
import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Notification } from '../../protocol/notifications.ts';
import { eventMessage, type RecordFacts } from './event-record.ts';
import { isPublicSubject, matchesPattern } from './subjects.ts';
import { Webhook, type WebhookConfig } from './webhook.ts';

/** What a node may notify, as it is configured. */
export interface NotifyConfig {
  readonly webhooks: readonly WebhookConfig[];
  /** Patterns of subjects that buckets may name. */
  readonly natsSubjects: readonly string[];
}

/** The NATS connection for what is public. */
export interface Publisher {
  publishConfirmed(
    subject: string,
    headers: Readonly<Record<string, string>>,
    payload: Uint8Array,
  ): Promise<void>;
}

/**
 * Targets of notifications. An ARN names one: `arn:minikv:webhook:::NAME`, where NAME is in the configuration, or
 * `arn:minikv:nats:::SUBJECT`, where the configuration allows the subject; also as MinIO spells it,
 * `arn:minio:sqs::NAME:webhook` and `arn:minio:sqs::SUBJECT:nats`.
 */
export class Targets implements NotificationPort {
  readonly #config: NotifyConfig;
  readonly #facts: RecordFacts;
  readonly #clock: Clock;
  readonly #webhooks = new Map<string, Webhook>();
  /** Null: this node has no NATS. */
  readonly #nats: Publisher | null;

  constructor(
    config: NotifyConfig,
    parts: { readonly facts: RecordFacts; readonly clock: Clock; readonly nats: Publisher | null },
  ) {
    this.#config = config;
    this.#facts = parts.facts;
    this.#clock = parts.clock;
    this.#nats = parts.nats;
    for (const one of config.webhooks) this.#webhooks.set(one.name, new Webhook(one, parts.clock));
  }

  /** The target of an ARN; null: there is none of that name, or it is not allowed. */
  targetOf(arn: string): string | null {
    const named = parseArn(arn);
    if (named === null) return null;
    const target = `${named.kind}:${named.name}`;
    if (target.length > LIMITS.notificationTargetBytesMax) return null;
    return this.#hasTarget(named.kind, named.name) ? target : null;
  }

  deliver(target: string, notification: Notification, id: string): Promise<void> {
    return this.send(target, eventMessage(notification, this.#facts), id);
  }

  /** Any document, as a notification. */
  async send(target: string, document: string, id: string): Promise<void> {
    const at = target.indexOf(':');
    const [kind, name] = [target.slice(0, at), target.slice(at + 1)];
    if (!this.#hasTarget(kind, name)) throw new Error('this node is not configured to notify it');
    const webhook = kind === 'webhook' ? this.#webhooks.get(name) : undefined;
    if (webhook !== undefined) return webhook.post(document, id);
    const headers = { 'Nats-Msg-Id': id, 'Content-Type': 'application/json' };
    const sending = (this.#nats as Publisher).publishConfirmed(
      name,
      headers,
      Buffer.from(document),
    );
    return this.#bounded(sending);
  }

  close(): void {
    for (const webhook of this.#webhooks.values()) webhook.close();
  }

  #hasTarget(kind: string, name: string): boolean {
    if (kind === 'webhook') return this.#webhooks.has(name);
    if (kind !== 'nats' || this.#nats === null || !isPublicSubject(name)) return false;
    return this.#config.natsSubjects.some((pattern) => matchesPattern(name, pattern));
  }

  #bounded(work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(LIMITS.notificationTimeoutMs, () => {
        reject(new Error(`no answer within ${LIMITS.notificationTimeoutMs} ms`));
      });
      work.then(resolve, reject).finally(cancel);
    });
  }
}

interface NamedTarget {
  readonly kind: 'webhook' | 'nats';
  readonly name: string;
}

/** What an ARN says, whether there is such a target or not; null: it is none of ours. */
export function parseArn(arn: string): NamedTarget | null {
  const [head, partition, service, region = '', owner = '', name = '', last, ...rest] =
    arn.split(':');
  if (head !== 'arn' || rest.length > 0) return null;
  if (partition === 'minikv' && (service === 'webhook' || service === 'nats')) {
    const isPlain = region === '' && owner === '' && last === undefined && name !== '';
    return isPlain ? { kind: service, name } : null;
  }
  // There the region may be named, and the kind stands at the end.
  const isMinio = partition === 'minio' && service === 'sqs' && last === undefined && owner !== '';
  if (!isMinio || (name !== 'webhook' && name !== 'nats')) return null;
  return { kind: name, name: owner };
}
