import { beforeEach, describe, expect, it } from 'vitest';
import type { OutboxTotals } from '../../../../actors/apply/outbox.ts';
import { outboxTotals } from '../../../../actors/apply/outbox.ts';
import { NotifyKeeper } from '../../../../actors/notify/keeper.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { NOTIFIED_EVENTS, type Notification } from '../../../../protocol/notifications.ts';
import { NO_CONDITION } from '../../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../../protocol/objects.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { AppliedGroup } from '../../../kit/applied-group.ts';
import { HandClock } from '../../../kit/hand-clock.ts';
import { objectRef, RULE } from '../../../kit/object-history.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';

const TARGETS = ['webhook:a', 'webhook:b'];
const rules = TARGETS.map((target) => ({
  ...{ id: target, target, events: [...NOTIFIED_EVENTS], prefix: '', suffix: '' },
}));

/** A group that is led here, and what its targets got. */
class World {
  readonly group = new AppliedGroup();
  readonly clock = new HandClock();
  readonly telemetry = recordingTelemetry();
  readonly got: { target: string; key: string; etag: string | null; id: string }[] = [];
  /** What a target does with a notification. */
  take: (target: string, notification: Notification) => Promise<void> = async () => {};
  isLed = true;
  losesTrims = false;
  readonly keeper: NotifyKeeper;

  constructor() {
    this.group.apply({ type: 'bucket', rule: { ...RULE, notifications: rules } });
    const { group, clock, telemetry } = this;
    clock.wallStartMs = group.wallMs;
    this.keeper = new NotifyKeeper({
      ...{ clock, telemetry, random: seededRandom(1, 'lane'), cluster: 'test' },
      notifications: {
        deliver: async (target, notification, id) => {
          await this.take(target, notification);
          const { ref, etag } = notification;
          this.got.push({ target, key: ref.key, etag, id });
        },
      },
      groups: () => [
        {
          ...{ group: 1 as GroupId, isLed: () => this.isLed },
          changes: () => group.state.outbox.changes,
          view: () => group.state.view(),
          trim: async (target, rows) => {
            if (this.losesTrims) return false;
            group.apply({ type: 'outboxTrim', target, rows: [...rows] });
            return true;
          },
        },
      ],
    });
  }

  put(key: string, etag: string): void {
    const rest = { size: 0, checksum: null, head: NO_HEAD, data: null, ttlMs: null };
    const op = {
      type: 'put',
      ref: objectRef(key),
      etag,
      condition: NO_CONDITION,
      ...rest,
    } as const;
    const revision = this.group.nextRevision();
    const about = { epoch: 1, bucket: 1, founders: null, idempotency: null, traceparent: null };
    this.group.apply({ type: 'object', revision, ...about, op });
  }

  /** So long, in ticks. */
  async pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i += 50) {
      this.clock.nowMs += 50;
      this.group.wallMs += 50;
      this.keeper.tick();
      for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  by(target: string): string[] {
    return this.got.flatMap((one) => (one.target === target ? [`${one.key} ${one.etag}`] : []));
  }

  async totals(target: string): Promise<OutboxTotals | undefined> {
    const view = this.group.state.view();
    const all = await outboxTotals(view);
    await view.close();
    return all.get(target);
  }
}

describe('notifications on their way', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });

  it('go to each target in the order of their key, and leave the outbox', async () => {
    for (let i = 0; i < 200; i++) world.put(`k${i % 7}`, String(i));
    await world.pass(500);
    for (const target of TARGETS) {
      expect(world.by(target).length).toBe(200);
      for (let k = 0; k < 7; k++) {
        const of = world.by(target).filter((one) => one.startsWith(`k${k} `));
        const wanted = Array.from({ length: 200 }, (_, i) => i).filter((i) => i % 7 === k);
        expect(of).toEqual(wanted.map((i) => `k${k} ${i}`));
      }
      expect(await world.totals(target)).toMatchObject({ waiting: 0, sent: 200, dropped: 0 });
    }
    expect(new Set(world.got.map(({ target, id }) => `${target} ${id}`)).size).toBe(400);
  });

  it('a target that never answers holds up nobody, and gets all when it does', async () => {
    let isDead = true;
    world.take = (target) =>
      target === 'webhook:a' && isDead ? Promise.reject(new Error('refused')) : Promise.resolve();
    for (let i = 0; i < 150; i++) world.put(`k${i}`, 'e');
    await world.pass(5_000);
    expect(world.by('webhook:a')).toEqual([]);
    expect(world.by('webhook:b').length).toBe(150);
    const attempts = world.telemetry.total('notifications_failed', { target: 'webhook:a' });
    // Eight at once, after pauses that grow.
    expect(attempts).toBeLessThan(60);
    expect((await world.totals('webhook:a'))?.waiting).toBe(150);
    isDead = false;
    await world.pass(20_000);
    expect(world.by('webhook:a').length).toBe(150);
  });

  it('a key that its target does not take holds up its own only', async () => {
    let isSick = true;
    world.take = (_target, { ref }) =>
      ref.key === 'sick' && isSick ? Promise.reject(new Error('500')) : Promise.resolve();
    for (let i = 0; i < 100; i++) {
      world.put('sick', String(i));
      world.put(`k${i}`, 'e');
    }
    await world.pass(1_000);
    expect(world.by('webhook:a').length).toBe(100);
    expect(world.by('webhook:a').some((one) => one.startsWith('sick'))).toBe(false);
    isSick = false;
    await world.pass(10_000);
    const sick = world.by('webhook:a').filter((one) => one.startsWith('sick'));
    expect(sick).toEqual(Array.from({ length: 100 }, (_, i) => `sick ${i}`));
  });

  it('N3 a key that was not tried beside one that failed is not overtaken by itself', async () => {
    const step = LIMITS.notificationStep;
    let isFirst = true;
    world.take = async (_target, { ref }) => {
      // The refusal comes before all that is taken.
      if (ref.key !== 'k0' || !isFirst) return new Promise((resolve) => setImmediate(resolve));
      isFirst = false;
      throw new Error('500');
    };
    // The same keys in each page.
    for (let i = 0; i < 3 * step; i++) world.put(`k${i % (step / 2)}`, String(i));
    await world.pass(3_000);
    for (let k = 0; k < step / 2; k++) {
      const of = world.by('webhook:a').filter((one) => one.startsWith(`k${k} `));
      const all = Array.from({ length: 3 * step }, (_, i) => i);
      const wanted = all.filter((i) => i % (step / 2) === k);
      expect(of).toEqual(wanted.map((i) => `k${k} ${i}`));
    }
  });

  it('what comes while a key is refused is sent at once, and nothing more of that key', async () => {
    let attempts = 0;
    world.take = async (target, { ref }) => {
      if (ref.key !== 'sick') return;
      if (target === 'webhook:a') attempts++;
      throw new Error('500');
    };
    world.put('sick', '0');
    await world.pass(20_000);
    for (let i = 1; i <= 20; i++) {
      world.put(`k${i}`, 'e');
      world.put('sick', String(i));
      await world.pass(100);
      expect(world.by('webhook:a').length).toBe(i);
    }
    // Half a second, later up to a minute.
    expect(attempts).toBeGreaterThan(4);
    expect(attempts).toBeLessThan(12);
    world.take = async () => {};
    await world.pass(60_000);
    const sick = world.by('webhook:a').filter((one) => one.startsWith('sick'));
    expect(sick).toEqual(Array.from({ length: 21 }, (_, i) => `sick ${i}`));
  });

  it('many keys that a target refuses hold up no other', async () => {
    const isSick = ({ ref }: Notification) => ref.key.startsWith('sick');
    world.take = async (_target, one) => {
      if (isSick(one)) throw new Error('500');
    };
    for (let i = 0; i < 300; i++) world.put(`sick${i}`, '0');
    for (let i = 0; i < 100; i++) world.put(`k${i}`, 'e');
    // Page by page, with pauses that grow as long as nothing is taken at all.
    await world.pass(40_000);
    expect(world.by('webhook:a').length).toBe(100);
    for (let i = 0; i < 20; i++) {
      world.put(`l${i}`, 'e');
      world.put(`sick${i}`, '1');
      await world.pass(1_000);
    }
    await world.pass(10_000);
    expect(world.by('webhook:a').length).toBe(120);
    world.take = async () => {};
    await world.pass(120_000);
    expect(world.by('webhook:a').length).toBe(440);
    for (let i = 0; i < 20; i++) {
      const of = world.by('webhook:a').filter((one) => one.startsWith(`sick${i} `));
      expect(of).toEqual([`sick${i} 0`, `sick${i} 1`]);
    }
  });

  it('keys that come due all the time keep nobody from what stands behind them', async () => {
    world.take = async (_target, { ref }) => {
      // A while, so that a key comes due before the pass has come far.
      world.clock.nowMs += 20;
      if (ref.key.startsWith('sick')) throw new Error('500');
    };
    for (let i = 0; i < 300; i++) {
      world.put(`sick${i}`, '0');
      world.put(`k${i}`, 'e');
    }
    await world.pass(20_000);
    expect(world.by('webhook:a').length).toBe(300);
  });

  it('N2 what could not be taken away is sent again', async () => {
    world.losesTrims = true;
    world.put('k', '1');
    await world.pass(200);
    expect(world.by('webhook:a')).toEqual(['k 1']);
    expect((await world.totals('webhook:a'))?.waiting).toBe(1);
    world.losesTrims = false;
    await world.pass(2_000);
    expect(world.by('webhook:a')).toEqual(['k 1', 'k 1']);
    expect((await world.totals('webhook:a'))?.waiting).toBe(0);
  });

  it('nothing is sent by a node that does not lead; all is when it leads again', async () => {
    world.isLed = false;
    world.put('k', '1');
    await world.pass(1_000);
    expect(world.got).toEqual([]);
    world.isLed = true;
    await world.pass(1_000);
    expect(world.by('webhook:b')).toEqual(['k 1']);
    world.isLed = false;
    await world.pass(100);
    world.put('k', '2');
    world.isLed = true;
    await world.pass(1_000);
    expect(world.by('webhook:b')).toEqual(['k 1', 'k 2']);
  });

  it('what waited too long is dropped, and counted', async () => {
    world.take = () => Promise.reject(new Error('refused'));
    world.put('k', '1');
    await world.pass(500);
    const longMs = LIMITS.notificationAgeMsMax;
    world.clock.nowMs += longMs;
    world.group.wallMs += longMs;
    await world.pass(1_000);
    expect(await world.totals('webhook:a')).toMatchObject({ waiting: 0, sent: 0, dropped: 1 });
    expect(world.telemetry.total('notifications_outdated', { target: 'webhook:a' })).toBe(1);
  });

  it('the largest backlog is told first', async () => {
    world.take = (target) =>
      target === 'webhook:b' ? Promise.reject(new Error('refused')) : Promise.resolve();
    world.put('k', '1');
    world.put('k', '2');
    await world.pass(6_000);
    const [first, ...others] = world.keeper.backlogs();
    expect(first).toMatchObject({ target: 'webhook:b', waiting: 2, sent: 0, dropped: 0 });
    expect(first?.waitingBytes).toBeGreaterThan(0);
    const none = { waiting: 0, waitingBytes: 0, dropped: 0 };
    expect(others).toEqual([{ target: 'webhook:a', sent: 2, ...none }]);
    world.isLed = false;
    await world.pass(100);
    expect(world.keeper.backlogs()).toEqual([]);
  });

  it('what comes while a lane looks is sent at once, also right behind its last look', async () => {
    for (let i = 0; i < 60; i++) {
      world.put('k', String(i));
      await world.pass(50);
    }
    await world.pass(200);
    expect(world.by('webhook:a')).toEqual(Array.from({ length: 60 }, (_, i) => `k ${i}`));
  });
});
