import { describe, expect, it } from 'vitest';
import { CreditWindow } from '../../../../gateways/peer/credit-window.ts';
import type { Clock } from '../../../../protocol/clock.ts';

function windowOf(bytesMax: number) {
  let nowMs = 0;
  const waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const roundTrips: number[] = [];
  const clock: Clock = {
    monotonicMs: () => nowMs,
    wallMs: () => 0,
    after: () => () => {},
    soon: () => {},
  };
  const window = new CreditWindow(bytesMax, {
    clock,
    confirm: () => new Promise((resolve, reject) => waiting.push({ resolve, reject })),
    confirmed: (rttMs) => void roundTrips.push(rttMs),
  });
  const send = (bytes: number): boolean => {
    const taken = window.take(bytes);
    if (taken) window.sent();
    return taken;
  };
  const answer = async (afterMs: number): Promise<void> => {
    nowMs += afterMs;
    waiting.shift()?.resolve();
    await Promise.resolve();
  };
  return { window, send, answer, waiting, roundTrips };
}

describe('the credit window', () => {
  it('refuses what would pass the bound, until the server confirms', async () => {
    const { window, send, answer, waiting } = windowOf(800);
    for (let i = 0; i < 8; i++) expect(send(100)).toBe(true);
    expect(send(1)).toBe(false);
    expect(waiting.length).toBe(8);
    await answer(5);
    expect(window.outstanding()).toBe(700);
    expect(send(100)).toBe(true);
    expect(send(1)).toBe(false);
  });

  it('asks once per step, not for every payload', async () => {
    const { send, waiting } = windowOf(8_000);
    for (let i = 0; i < 100; i++) send(10);
    expect(waiting.length).toBe(1);
  });

  it('asks when it refuses, so that a full window always opens again', async () => {
    const { send, answer, waiting } = windowOf(800);
    expect(send(750)).toBe(true);
    expect(waiting.length).toBe(1);
    expect(send(40)).toBe(true);
    expect(send(20)).toBe(false);
    expect(waiting.length).toBe(2);
    await answer(1);
    expect(send(20)).toBe(true);
  });

  it('measures round trips, also when nothing was sent', async () => {
    const { window, answer, roundTrips } = windowOf(800);
    window.probe();
    await answer(42);
    expect(roundTrips).toEqual([42]);
  });

  it('a new connection starts empty and ignores answers of the former', async () => {
    const { window, send, answer, waiting, roundTrips } = windowOf(800);
    send(800);
    const former = waiting.shift();
    window.reset();
    expect(window.outstanding()).toBe(0);
    send(300);
    former?.resolve();
    await Promise.resolve();
    expect(window.outstanding()).toBe(300);
    expect(roundTrips).toEqual([]);
    waiting[0]?.reject(new Error('disconnected'));
    await Promise.resolve();
    expect(window.outstanding()).toBe(300);
    await answer(0);
  });
});
