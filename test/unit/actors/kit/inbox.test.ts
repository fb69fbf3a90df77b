import { describe, expect, it } from 'vitest';
import { Inbox } from '../../../../actors/kit/inbox.ts';
import { LIMITS } from '../../../../protocol/limits.ts';

describe('the inbox', () => {
  it('hands over everything that has gathered, in order, once', () => {
    const inbox = new Inbox<number>();
    inbox.push(1, 10);
    inbox.push(2, 10);
    expect(inbox.length).toBe(2);
    expect([...inbox.drain()]).toEqual([1, 2]);
    expect(inbox.length).toBe(0);
    expect([...inbox.drain()]).toEqual([]);
  });

  it('keeps a drained batch intact while new commands gather', () => {
    const inbox = new Inbox<number>();
    inbox.push(1, 0);
    const batch = inbox.drain();
    inbox.push(2, 0);
    expect([...batch]).toEqual([1]);
    expect([...inbox.drain()]).toEqual([2]);
  });

  it('refuses a command beyond inboxCommandsMax and takes it after a drain', () => {
    const inbox = new Inbox<number>();
    for (let i = 0; i < LIMITS.inboxCommandsMax; i++) expect(inbox.push(i, 0)).toBe(true);
    expect(inbox.push(-1, 0)).toBe(false);
    expect(inbox.drain()).toHaveLength(LIMITS.inboxCommandsMax);
    expect(inbox.push(-1, 0)).toBe(true);
  });

  it('refuses bytes beyond inboxBytesMax, and counts anew after a drain', () => {
    const inbox = new Inbox<string>();
    expect(inbox.push('half', LIMITS.inboxBytesMax / 2)).toBe(true);
    expect(inbox.push('rest', LIMITS.inboxBytesMax / 2)).toBe(true);
    expect(inbox.push('one more', 1)).toBe(false);
    expect(inbox.push('nothing', 0)).toBe(true);
    inbox.drain();
    expect(inbox.push('again', LIMITS.inboxBytesMax)).toBe(true);
  });

  it('takes one command of any size when it is empty', () => {
    const inbox = new Inbox<string>();
    expect(inbox.push('huge', LIMITS.inboxBytesMax * 2)).toBe(true);
    expect(inbox.push('small', 1)).toBe(false);
  });
});
