import { describe, expect, it } from 'vitest';
import { parseArn, Targets } from '../../../../gateways/notify/targets.ts';
import { HandClock } from '../../../kit/hand-clock.ts';

const published: { subject: string; id: string | undefined; text: string }[] = [];

function targets(hasNats = true): Targets {
  const webhook = { name: 'main', url: 'http://127.0.0.1:9/hook', secret: null };
  return new Targets(
    { webhooks: [webhook], natsSubjects: ['s3.>', 'minikv.>'] },
    {
      facts: { region: 'us-east-1', ownerId: 'owner' },
      clock: new HandClock(),
      nats: hasNats
        ? {
            publishConfirmed: async (subject, headers, payload) => {
              const id = headers['Nats-Msg-Id'];
              published.push({ subject, id, text: Buffer.from(payload).toString() });
            },
          }
        : null,
    },
  );
}

describe('targets of notifications', () => {
  it('are those that the configuration names, under their ARN or that of MinIO', () => {
    const known = targets();
    expect(known.targetOf('arn:minikv:webhook:::main')).toBe('webhook:main');
    expect(known.targetOf('arn:minio:sqs::main:webhook')).toBe('webhook:main');
    expect(known.targetOf('arn:minio:sqs:us-east-1:main:webhook')).toBe('webhook:main');
    expect(known.targetOf('arn:minikv:nats:::s3.orders')).toBe('nats:s3.orders');
    expect(known.targetOf('arn:minio:sqs::s3.orders:nats')).toBe('nats:s3.orders');
    for (const arn of [
      ...['arn:minikv:webhook:::other', 'arn:minikv:webhook:::http://10.0.0.1/', 'main', ''],
      ...['arn:aws:sqs:us-east-1:123456789012:main', 'arn:minikv:webhook:x::main'],
      ...['arn:minikv:nats:::orders', 'arn:minikv:nats:::s3.*', 'arn:minikv:nats:::s3.>'],
      // Whatever the configuration allows.
      ...['arn:minikv:nats:::minikv.minikv.hello', 'arn:minio:sqs::minikv.events.x:nats'],
    ]) {
      expect(known.targetOf(arn), arn).toBe(null);
    }
    expect(targets(false).targetOf('arn:minikv:nats:::s3.orders')).toBe(null);
    expect(parseArn('arn:minio:sqs::a:kafka')).toBe(null);
  });

  it('are checked again when something is sent', async () => {
    await targets().send('nats:s3.orders', '{}', 'id-1');
    expect(published).toEqual([{ subject: 's3.orders', id: 'id-1', text: '{}' }]);
    for (const target of ['nats:minikv.minikv.hello', 'nats:_INBOX.x', 'webhook:gone', 'other:x']) {
      await expect(targets().send(target, '{}', 'id'), target).rejects.toThrow('not configured');
    }
    expect(published.length).toBe(1);
  });
});
