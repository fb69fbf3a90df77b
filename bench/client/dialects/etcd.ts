import type { Template } from '../template.ts';
import type { MakeDialect } from './dialect.ts';
import { type CheckAnswer, httpDialect, withBody } from './http.ts';
import { countOf, type RequestShapes, RequestStream } from './requests.ts';

/** etcd 3 over its JSON gateway: keys and values are base64. */

const VALUE = Buffer.from('"value":"');
const HEADER = Buffer.from('"header":');
const SUCCEEDED = Buffer.from('"succeeded":true');
const ALL_KEYS = '"key":"AA==","range_end":"AA=="';

export const etcdDialect: MakeDialect = (options, done) => {
  const encoded = options.values.map((value) =>
    Buffer.from(value.subarray(0, options.valueBytes).toString('base64'), 'latin1'),
  );
  const requests = new RequestStream(
    options,
    shapesOf(options.target, options.valueBytes),
    encoded,
  );
  return httpDialect(requests, checkOf((encoded[0] as Buffer).length), done);
};

function shapesOf({ host, port }: { host: string; port: number }, size: number): RequestShapes {
  const post = (path: string, fill: (template: Template) => Template): Template => {
    const head = `POST ${path} HTTP/1.1\r\nhost: ${host}:${port}\r\ncontent-type: application/json\r\n`;
    return withBody(size, true, head, fill);
  };
  const keyAndValue = (t: Template): Template =>
    t.text('{"key":"').key().text('","value":"').value().text('"}');
  return {
    put: () => post('/v3/kv/put', keyAndValue),
    get: () => post('/v3/kv/range', (t) => t.text('{"key":"').key().text('"}')),
    batch: (count) =>
      post('/v3/kv/txn', (t) => {
        t.text('{"success":[');
        for (let i = 0; i < count; i++) {
          keyAndValue(t.text(i === 0 ? '{"requestPut":' : ',{"requestPut":')).text('}');
        }
        return t.text(']}');
      }),
    scan: (limit) =>
      post('/v3/kv/range', (t) =>
        t.text('{"key":"').key().text(`","range_end":"AA==","limit":${limit}}`),
      ),
    scanAll: () => post('/v3/kv/range', (t) => t.text(`{${ALL_KEYS}}`)),
  };
}

function checkOf(valueLength: number): CheckAnswer {
  return ({ bytes, start, end }, expected, count) => {
    const body = bytes.subarray(start, end);
    switch (expected) {
      case 'put':
        return body.includes(HEADER) ? null : 'a put has no header';
      case 'get': {
        const from = body.indexOf(VALUE) + VALUE.length;
        const found = body.indexOf(0x22, from) - from;
        return found === valueLength ? null : `a value has ${found} characters`;
      }
      case 'batch':
        return body.includes(SUCCEEDED) ? null : 'a transaction failed';
      case 'scan':
      case 'scan-all': {
        const found = countOf(body, VALUE);
        return found === count ? null : `a range has ${found} items, not ${count}`;
      }
    }
  };
}
