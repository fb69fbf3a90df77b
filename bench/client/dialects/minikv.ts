import { Template } from '../template.ts';
import type { MakeDialect } from './dialect.ts';
import { type CheckAnswer, httpDialect, withBody } from './http.ts';
import { batchBody } from './msgpack.ts';
import { countOf, type RequestShapes, RequestStream } from './requests.ts';

/** minikv over HTTP. The bare server gets the very same bytes. */

const OCTETS = 'content-type: application/octet-stream\r\n';
const MSGPACK = 'content-type: application/msgpack\r\naccept: application/msgpack\r\n';
const FAILED = Buffer.from('\xa4code', 'latin1');
const ITEM = Buffer.from('"createRevision":');
const LAST_LINE = '{"end":true';

export const minikvDialect: MakeDialect = (options, done) =>
  httpDialect(
    new RequestStream(options, shapesOf(options.target, options.valueBytes), options.values),
    checkOf(options.valueBytes),
    done,
  );

function shapesOf({ host, port }: { host: string; port: number }, size: number): RequestShapes {
  const line = (text: string): string => `${text} HTTP/1.1\r\nhost: ${host}:${port}\r\n`;
  const keyed = (method: string): Template =>
    new Template(size).text(`${method} /v1/kv/`).key().text(line(''));
  return {
    put: () => keyed('PUT').text(`${OCTETS}content-length: ${size}\r\n\r\n`).value(),
    get: () => keyed('GET').text('\r\n'),
    batch: (count) =>
      withBody(size, false, `${line('POST /v1/batch')}${MSGPACK}`, (t) => batchBody(t, count)),
    scan: (limit) =>
      new Template(size)
        .text(`GET /v1/kv?limit=${limit}&start=`)
        .key()
        .text(`${line('')}\r\n`),
    scanAll: () =>
      new Template(size).text(`${line('GET /v1/kv')}accept: application/x-ndjson\r\n\r\n`),
  };
}

function checkOf(valueBytes: number): CheckAnswer {
  return ({ bytes, start, end }, expected, count) => {
    const length = end - start;
    switch (expected) {
      case 'put':
        return length > 0 ? null : 'a put has an empty answer';
      case 'get':
        return length === valueBytes ? null : `a value has ${length} bytes`;
      case 'batch': {
        const at = bytes.indexOf(FAILED, start);
        if (at < 0 || at >= end) return null;
        return `an operation of a batch failed: ${bytes.toString('latin1', at + 1, at + 100)}`;
      }
      case 'scan': {
        const found = countOf(bytes.subarray(start, end), ITEM);
        return found === count ? null : `a page has ${found} items, not ${count}`;
      }
      case 'scan-all': {
        const body = bytes.subarray(start, end);
        const last = body.toString('latin1', body.lastIndexOf(10, -2) + 1);
        if (!last.startsWith(LAST_LINE)) return 'the listing was cut';
        const found = countOf(body, ITEM);
        return found === count ? null : `the listing has ${found} items, not ${count}`;
      }
    }
  };
}
