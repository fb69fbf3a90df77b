import { expect, it } from 'vitest';
import { type RoutingRule, websiteConfiguration } from '../../../../gateways/s3/website.ts';
import {
  pageKey,
  redirectByRule,
  redirectOfAll,
  redirectToFolder,
} from '../../../../gateways/s3/website-routing.ts';
import { codeOf } from '../../../kit/s3-error-code.ts';

const NO_CONDITION = { httpErrorCodeReturnedEquals: null, keyPrefixEquals: null };
const NO_REDIRECT = {
  ...{ hostName: null, httpRedirectCode: null, protocol: null },
  ...{ replaceKeyPrefixWith: null, replaceKeyWith: null },
};

function rule(
  condition: Partial<RoutingRule['condition'] & object> | null,
  redirect: Partial<RoutingRule['redirect']>,
): RoutingRule {
  return {
    condition: condition === null ? null : { ...NO_CONDITION, ...condition },
    redirect: { ...NO_REDIRECT, ...redirect },
  };
}

const site = (...routingRules: RoutingRule[]) => ({
  ...{ errorDocument: null, indexDocument: { suffix: 'index.html' }, redirectAllRequestsTo: null },
  routingRules,
});

const visit = (key: string) => ({
  ...({ protocol: 'http', host: 'site.test:9000', key, target: `/${key}?q=1` } as const),
});

it('a redirect keeps what its rule does not replace', () => {
  const to = (redirect: Partial<RoutingRule['redirect']>, key = 'docs/a b?') =>
    redirectByRule(site(rule({ keyPrefixEquals: 'docs/' }, redirect)), visit(key), null);
  const at = (location: string, status = 301) => ({ status, location });
  expect(to({ replaceKeyPrefixWith: 'd/' })).toEqual(at('http://site.test:9000/d/a%20b%3F'));
  expect(to({ replaceKeyPrefixWith: '' })).toEqual(at('http://site.test:9000/a%20b%3F'));
  expect(to({ replaceKeyWith: 'x.html' })).toEqual(at('http://site.test:9000/x.html'));
  expect(to({ hostName: 'o.test' })).toEqual(at('http://o.test/docs/a%20b%3F'));
  expect(to({ protocol: 'https' })).toEqual(at('https://site.test:9000/docs/a%20b%3F'));
  expect(to({ protocol: 'https', httpRedirectCode: '307' })).toEqual(
    at('https://site.test:9000/docs/a%20b%3F', 307),
  );
  // Applications of one page have their paths in the fragment.
  expect(to({ replaceKeyPrefixWith: '#!/' })).toEqual(at('http://site.test:9000/#!/a%20b%3F'));
  expect(to({ replaceKeyWith: 'a\r\nb' })).toEqual(at('http://site.test:9000/a%0D%0Ab'));
  expect(to({ replaceKeyWith: 'x' }, 'other')).toBeNull();
});

it('the first rule that fits counts, before or behind an error', () => {
  const of404 = rule(
    { httpErrorCodeReturnedEquals: '404', keyPrefixEquals: 'a' },
    { replaceKeyWith: '1' },
  );
  const all404 = rule({ httpErrorCodeReturnedEquals: '404' }, { replaceKeyWith: '2' });
  const all = rule(null, { replaceKeyWith: '3' });
  const by = (key: string, status: number | null) =>
    redirectByRule(site(of404, all404, all), visit(key), status)?.location.slice(-1) ?? null;
  expect([by('a', 404), by('b', 404), by('a', 403), by('a', null)]).toEqual(['1', '2', null, '3']);
});

it('all requests can be another host’s, path and query included', () => {
  const elsewhere = (protocol: 'https' | null) => ({
    ...site(),
    ...{ indexDocument: null, redirectAllRequestsTo: { hostName: 'o.test', protocol } },
  });
  expect(redirectOfAll(elsewhere(null), visit('a'))?.location).toBe('http://o.test/a?q=1');
  expect(redirectOfAll(elsewhere('https'), visit('a'))?.location).toBe('https://o.test/a?q=1');
  expect(redirectOfAll(site(), visit('a'))).toBeNull();
});

it('a folder is its index, and a path that leads to one gets its slash', () => {
  expect(['', 'a', 'a/', 'a/b'].map((key) => pageKey(key, 'i'))).toEqual(['i', 'a', 'a/i', 'a/b']);
  expect(redirectToFolder(visit('/o.test'))).toEqual({
    ...{ status: 302, location: 'http://site.test:9000//o.test/' },
  });
});

it('a host name that is none is refused, since it becomes a header', () => {
  const with_ = (host: string) =>
    websiteConfiguration.read(
      Buffer.from(
        `<WebsiteConfiguration><RedirectAllRequestsTo><HostName>${host}</HostName></RedirectAllRequestsTo></WebsiteConfiguration>`,
      ),
    );
  expect(codeOf(() => with_('a.test:80'))).toBe('none');
  for (const bad of ['a test', 'a/b', 'a&#xD;&#xA;b', 'a@b', 'a:port']) {
    expect([bad, codeOf(() => with_(bad))]).toEqual([bad, 'InvalidRequest']);
  }
});
