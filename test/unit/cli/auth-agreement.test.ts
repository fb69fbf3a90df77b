import { expect, it } from 'vitest';
import {
  AUTH_LOOK_MS,
  checkOpen,
  declareAuth,
  NOT_AGREED,
  watchOpen,
} from '../../../cli/auth-agreement.ts';
import { loadConfig } from '../../../cli/config.ts';
import { serviceGate } from '../../../cli/service-gate.ts';
import { AuthSetting } from '../../../gateways/identity/auth-setting.ts';
import { NO_TELEMETRY } from '../../../observability/port.ts';
import { AppError } from '../../../protocol/errors.ts';
import { ModelIdentities } from '../../kit/model-identities.ts';
import { ModelService } from '../../kit/model-service.ts';
import { VirtualTime } from '../../kit/virtual-time.ts';

const CTX = { deadlineMs: 1_000, traceparent: null, idempotency: null };

function node(identities: ModelIdentities) {
  const time = new VirtualTime(1);
  const setting = new AuthSetting(identities);
  let isStopping = false;
  const parts = {
    ...{ setting, clock: time.process().clock, log: NO_TELEMETRY.log },
    isStopping: () => isStopping,
  };
  const stop = () => {
    isStopping = true;
  };
  return { time, setting, parts, stop };
}

it('a node that asks nobody serves nobody until it knows that the cluster asks nobody', async () => {
  const identities = new ModelIdentities();
  const { time, setting, parts } = node(identities);
  identities.isConfirmed = false;
  let isOpen = false;
  const opening = checkOpen(parts).then((is) => {
    isOpen = is;
  });
  await time.pass(60_000);
  expect(isOpen).toBe(false);
  identities.isConfirmed = true;
  await time.until(opening);
  expect(isOpen).toBe(true);
  await time.until(declareAuth(parts));
  await expect(time.until(checkOpen(parts))).rejects.toMatchObject({ message: NOT_AGREED });
  await setting.setRequired(CTX, false);
  expect(await time.until(checkOpen(parts))).toBe(true);
});

it('that credentials are asked for is said until it is heard, and once', async () => {
  const identities = new ModelIdentities();
  const { time, setting, parts } = node(identities);
  identities.isConfirmed = false;
  const declaring = declareAuth(parts);
  await time.pass(3_000);
  identities.isConfirmed = true;
  await time.until(declaring);
  expect(await setting.isRequired(1_000)).toBe(true);
  const { revision } = identities.row('setting/auth') ?? {};
  await time.until(declareAuth(parts));
  expect(identities.row('setting/auth')?.revision).toBe(revision);
});

it('an open node closes when the cluster comes to ask, and not when it cannot tell', async () => {
  const identities = new ModelIdentities();
  const { time, setting, parts } = node(identities);
  const closed: AppError[] = [];
  watchOpen(parts, (why) => closed.push(why));
  await time.pass(3 * AUTH_LOOK_MS);
  identities.isConfirmed = false;
  await time.pass(3 * AUTH_LOOK_MS);
  expect(closed).toEqual([]);
  identities.isConfirmed = true;
  await setting.setRequired(CTX, true);
  await time.pass(2 * AUTH_LOOK_MS);
  expect(closed).toMatchObject([{ code: 'unavailable', message: NOT_AGREED }]);
  await time.pass(5 * AUTH_LOOK_MS);
  expect(closed).toHaveLength(1);
});

it('a node that is stopped asks no more', async () => {
  const identities = new ModelIdentities();
  const { time, parts, stop } = node(identities);
  identities.isConfirmed = false;
  const opening = checkOpen(parts);
  await time.pass(1_000);
  stop();
  expect(await time.until(opening)).toBe(false);
});

it('a gate that closes ends its watches and refuses everything, with why', async () => {
  const gate = serviceGate(loadConfig({ flags: {}, env: {}, readFile: () => '' }).config, '1');
  const { service } = gate;
  const ref = { tenant: 'default', space: 'kv', key: 'a' };
  const options = { ...ref, prefix: '', from: null, initial: false, prev: false };
  gate.open(new ModelService());
  const watches = await Promise.all([0, 1].map(() => service.watch(CTX, options)));
  watches[1]?.close();
  const next = watches[0]?.next();
  const opening = service.watch(CTX, options);
  gate.close(new AppError('unavailable', 'no more'));
  expect(await next).toBeNull();
  expect(await (await opening).next()).toBeNull();
  const asked = [service.get(CTX, ref, { consistency: 'stale', revision: null } as never)];
  for (const one of [...asked, service.watch(CTX, options), service.identities.renewed(1)]) {
    await expect(one).rejects.toMatchObject({ code: 'unavailable', message: 'no more' });
  }
  expect(service.getNow(CTX, ref)).toBeNull();
  expect(() => gate.check()).toThrow('no more');
  expect(service.status().ready).toBe(false);
});
