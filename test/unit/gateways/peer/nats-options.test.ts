import { describe, expect, it } from 'vitest';
import { parseNatsUrls } from '../../../../gateways/peer/nats-options.ts';

const NONE = { kind: 'none' };

describe('NATS URLs', () => {
  it('name servers, with a default port', () => {
    expect(parseNatsUrls('nats://a:4333,b')).toEqual({
      servers: ['a:4333', 'b:4222'],
      credentials: NONE,
      tls: null,
    });
    expect(parseNatsUrls('127.0.0.1:4222')?.servers).toEqual(['127.0.0.1:4222']);
    expect(parseNatsUrls('nats://[::1]:4222')?.servers).toEqual(['[::1]:4222']);
  });

  it('may hold a user and password, or a token', () => {
    expect(parseNatsUrls('nats://u:p%40x@a:4222,b')?.credentials).toEqual({
      kind: 'password',
      user: 'u',
      password: 'p@x',
    });
    expect(parseNatsUrls('nats://tok@a')?.credentials).toEqual({ kind: 'token', token: 'tok' });
  });

  it('ask for TLS with tls://', () => {
    expect(parseNatsUrls('tls://a,nats://b')?.tls).toEqual({});
  });

  it('that are none are refused', () => {
    for (const bad of ['', ',', 'http://a', 'nats://', 'nats://a:99999', 'nats://a/path', 'a b']) {
      expect(parseNatsUrls(bad), bad).toBeNull();
    }
  });

  // npm run fuzz -- --only 'small texts of headers' --seed 1588: a URIError
  it('refuses credentials with an escape that is none', () => {
    for (const part of ['u%2r:p', 'u:p%', '%ff:p']) {
      expect(parseNatsUrls(`nats://${part}@host:4222`)).toBeNull();
      expect(parseNatsUrls(`nats://a:b@host,nats://${part}@host:4222`)).toBeNull();
    }
  });
});
