import { describe, expect, it } from 'vitest';
import { type KeyRefusalReason, NamedKeys } from '../../../../gateways/encryption/named-keys.ts';
import { parseRootKeys, RootKeys } from '../../../../gateways/encryption/root-keys.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { ModelKeyRows } from '../../../kit/model-key-rows.ts';

const CTX = { deadlineMs: 1000, traceparent: null, idempotency: null };
const ONE = Buffer.alloc(32, 1);
const TWO = Buffer.alloc(32, 2);

class Cluster {
  readonly rows = new ModelKeyRows();
  nowMs = 0;
  #nodes = 0;

  node(roots: RootKeys | null = new RootKeys([ONE])): NamedKeys {
    const clock = { monotonicMs: () => this.nowMs, wallMs: () => 1_000_000 + this.nowMs };
    return new NamedKeys({ rows: this.rows, roots, random: seededRandom(++this.#nodes), clock });
  }

  text(): string {
    return [...this.rows.rows.values()].map(({ text }) => text).join('\n');
  }
}

const reasonOf = (sent: Promise<unknown>): Promise<KeyRefusalReason | null> =>
  sent.then(
    () => null,
    (error: { reason: KeyRefusalReason }) => error.reason,
  );

describe('named keys', () => {
  it('are made once, and are the same on every node', async () => {
    const cluster = new Cluster();
    const [a, b] = [cluster.node(), cluster.node()];
    const [one, two] = await Promise.all([a.current(CTX, 'k', true), b.current(CTX, 'k', true)]);
    expect(Buffer.from(one.key)).toEqual(Buffer.from(two.key));
    expect(one).toMatchObject({ id: 'k', version: 1 });
    const found = await cluster.node().version(CTX, 'k', 1);
    expect(Buffer.from(found.key)).toEqual(Buffer.from(one.key));
    expect(await a.list(CTX)).toEqual([
      { id: 'k', state: 'enabled', version: 1, createdAtMs: 1_000_000 },
    ]);
  });

  it('are kept wrapped, for this name and version only', async () => {
    const cluster = new Cluster();
    const { key } = await cluster.node().current(CTX, 'k', true);
    const text = cluster.text();
    for (const encoding of ['hex', 'base64', 'latin1'] as const) {
      expect(text.includes(Buffer.from(key).toString(encoding))).toBe(false);
      expect(text.includes(ONE.toString(encoding))).toBe(false);
    }
    await cluster.rows.put(CTX, { id: 'other', text, revision: 0 });
    const node = cluster.node();
    expect(await reasonOf(node.version(CTX, 'other', 1))).toBe('other_root_key');
    expect(await reasonOf(node.check(CTX))).toBe('other_root_key');
  });

  it('are refused where there is none, or no version of it', async () => {
    const node = new Cluster().node();
    expect(await reasonOf(node.current(CTX, 'k', false))).toBe('not_found');
    expect(await reasonOf(node.version(CTX, '../k', 1))).toBe('not_found');
    await node.create(CTX, 'k');
    expect(await reasonOf(node.version(CTX, 'k', 2))).toBe('not_found');
    await expect(node.rotate(CTX, 'none')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('have versions: a new one encrypts, all decrypt, on all nodes at once', async () => {
    const cluster = new Cluster();
    const [a, b] = [cluster.node(), cluster.node()];
    const first = await a.current(CTX, 'k', true);
    await b.current(CTX, 'k', false);
    expect((await a.rotate(CTX, 'k')).version).toBe(2);
    const second = await a.current(CTX, 'k', false);
    expect(second.version).toBe(2);
    expect(Buffer.from(second.key)).not.toEqual(Buffer.from(first.key));
    // Though this node has looked just now, before there was one.
    expect(Buffer.from((await b.version(CTX, 'k', 2)).key)).toEqual(Buffer.from(second.key));
    expect(Buffer.from((await b.version(CTX, 'k', 1)).key)).toEqual(Buffer.from(first.key));
  });

  it('can be disabled: everywhere within a second, and enabled again', async () => {
    const cluster = new Cluster();
    const [a, b] = [cluster.node(), cluster.node()];
    await a.current(CTX, 'k', true);
    await b.current(CTX, 'k', false);
    await a.setState(CTX, 'k', 'disabled');
    expect(await reasonOf(a.current(CTX, 'k', true))).toBe('disabled');
    cluster.nowMs += 1_000;
    expect(await reasonOf(b.current(CTX, 'k', false))).toBe('disabled');
    expect(await reasonOf(b.version(CTX, 'k', 1))).toBe('disabled');
    await b.setState(CTX, 'k', 'enabled');
    expect((await b.version(CTX, 'k', 1)).version).toBe(1);
  });

  it('are asked for once a second, not once a request', async () => {
    const cluster = new Cluster();
    const node = cluster.node();
    await node.current(CTX, 'k', true);
    const { asked } = cluster.rows;
    for (let i = 0; i < 100; i++) await node.current(CTX, 'k', false);
    expect(cluster.rows.asked).toBe(asked);
    cluster.nowMs += 1_000;
    await node.current(CTX, 'k', false);
    expect(cluster.rows.asked).toBe(asked + 1);
  });

  it('follow a new root key: the old one is needed until they are wrapped anew', async () => {
    const cluster = new Cluster();
    const old = cluster.node(new RootKeys([ONE]));
    const made = await old.current(CTX, 'k', true);
    await old.rotate(CTX, 'k');
    await old.create(CTX, 'l');
    const both = cluster.node(new RootKeys([TWO, ONE]));
    expect(Buffer.from((await both.version(CTX, 'k', 1)).key)).toEqual(Buffer.from(made.key));
    expect(await reasonOf(cluster.node(new RootKeys([TWO])).check(CTX))).toBe('other_root_key');
    expect(await both.rewrap(CTX)).toEqual({ keys: 2, rewrapped: 2 });
    expect(await both.rewrap(CTX)).toEqual({ keys: 2, rewrapped: 0 });
    const after = cluster.node(new RootKeys([TWO]));
    await after.check(CTX);
    expect(Buffer.from((await after.version(CTX, 'k', 1)).key)).toEqual(Buffer.from(made.key));
    expect(await reasonOf(cluster.node(new RootKeys([ONE])).check(CTX))).toBe('other_root_key');
  });

  it('need a root key', async () => {
    const node = new Cluster().node(null);
    expect(await reasonOf(node.current(CTX, 'k', true))).toBe('no_root_key');
    expect(await reasonOf(node.create(CTX, 'k'))).toBe('no_root_key');
  });
});

describe('root keys as text', () => {
  it('are 32 bytes each, as hex or base64, by lines or commas', () => {
    const hex = ONE.toString('hex');
    const base64 = TWO.toString('base64');
    expect(parseRootKeys(`${hex}\n`)).toEqual([ONE]);
    expect(parseRootKeys(`${base64},${hex}`)).toEqual([TWO, ONE]);
    expect(parseRootKeys(` ${base64}\n${hex}\n\n`)).toEqual([TWO, ONE]);
    for (const text of ['', ' \n', 'password', hex.slice(1), `${hex}0`, `${hex} x`]) {
      expect(parseRootKeys(text), text).toBeNull();
    }
  });
});
