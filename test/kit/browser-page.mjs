/**
 * Runs `dist/client` as a page of `origin` would: as modules in a context of their own that has a browser's
 * globals and nothing of Node's, with code from strings forbidden, and with `fetch` adding the headers that a
 * page cannot leave out and hiding the answers that a page may not see. Prints what the page reports, as JSON.
 *
 *   node --experimental-vm-modules test/kit/browser-page.mjs <dist/client> <origin> [<endpoint>]
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import vm from 'node:vm';

const [folder, origin, endpoint] = process.argv.slice(2);

/** Of a browser on a page that was not loaded over TLS. Others of the context are the language's own. */
const WEB = {
  ...{ AbortController, AbortSignal, DOMException, Event, EventTarget },
  ...{ Headers, Request, Response, Blob, FormData, URL, URLSearchParams },
  ...{ ReadableStream, WritableStream, TransformStream, TextEncoder, TextDecoder },
  ...{ TextDecoderStream, TextEncoderStream },
  ...{ atob, btoa, queueMicrotask, setTimeout, clearTimeout, setInterval, clearInterval },
  performance: { now: () => performance.now() },
  crypto: { getRandomValues: (bytes) => crypto.getRandomValues(bytes) },
  location: Object.freeze({ origin, href: `${origin}/page.html` }),
};

/** Headers that no page can set itself. */
const FORBIDDEN = ['cookie', 'host', 'origin', 'content-length', 'connection'];

async function pageFetch(input, init = {}) {
  const headers = new Headers(init.headers);
  for (const name of FORBIDDEN) if (headers.has(name)) throw new Error(`a page cannot set ${name}`);
  const url = new URL(String(input), origin);
  const method = init.method ?? 'GET';
  const isForeign = url.origin !== origin;
  if (isForeign || (method !== 'GET' && method !== 'HEAD')) headers.set('origin', origin);
  const answer = await fetch(url, { ...init, headers });
  const allowed = answer.headers.get('access-control-allow-origin');
  if (isForeign && allowed !== '*' && allowed !== origin) throw new TypeError('Failed to fetch');
  return answer;
}

const reports = [];
const context = vm.createContext(
  { ...WEB, fetch: pageFetch, report: (line) => reports.push(line), endpoint },
  { codeGeneration: { strings: false, wasm: false } },
);
vm.runInContext('globalThis.self = globalThis; globalThis.window = globalThis;', context);
const modules = new Map();

function load(path) {
  const known = modules.get(path);
  if (known !== undefined) return known;
  const module = new vm.SourceTextModule(readFileSync(path, 'utf8'), { context, identifier: path });
  modules.set(path, module);
  return module;
}

/** Only files of the library, by relative paths: a browser knows no packages. */
function link(specifier, from) {
  if (!specifier.startsWith('./')) throw new Error(`${from.identifier} imports ${specifier}`);
  return load(resolve(folder, specifier));
}

const PAGE = `
import { createClient } from './client.js';
const kv = endpoint === undefined ? createClient() : createClient({ endpoints: endpoint });
const code = (promise) => promise.then(() => 'done', (error) => error.code);
if (endpoint !== undefined) {
  report(['foreign', await code(kv.put('page/foreign', 'x', { timeoutMs: 2000 }))]);
} else {
  await kv.put('page/text', 'ä');
  await kv.put('page/bytes', Uint8Array.of(0, 255));
  report(['get', (await kv.get('page/text')).text()]);
  report(['bytes', [...(await kv.get('page/bytes')).value]]);
  const keys = [];
  for await (const item of kv.scan({ prefix: 'page/' })) keys.push(item.key);
  report(['scan', keys]);
  const from = (await kv.page()).revision;
  const changes = kv.watch({ prefix: 'page/', from });
  const moved = await kv.transaction(async (tx) => {
    const item = await tx.get('page/text');
    tx.delete('page/text');
    tx.put('page/moved', item.text());
    return item.text();
  });
  report(['transaction', moved]);
  const seen = [];
  for await (const { type, key } of changes) if (seen.push([type, key]) === 2) break;
  report(['watch', seen.sort()]);
  const lease = await kv.leases.hold(30);
  await kv.batch([{ op: 'put', key: 'page/leased', value: '1', lease: lease.id }]);
  report(['lease', await lease.revoke(), await kv.get('page/leased')]);
  const lock = await kv.locks.acquire('page', { ttlSeconds: 30 });
  report(['lock', lock.fence.key, await code(kv.locks.acquire('page')), await lock.release()]);
  const stop = new AbortController();
  const waiting = kv.put('page/late', 'x', { signal: stop.signal });
  stop.abort();
  report(['abort', await code(waiting)]);
}
report(['globals', typeof process, typeof Buffer, typeof require, typeof global]);
`;
const page = new vm.SourceTextModule(PAGE, { context, identifier: 'page' });
await page.link(link);
await page.evaluate();
console.log(JSON.stringify(reports));
process.exit(0);
