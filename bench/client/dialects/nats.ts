import { NatsReader } from '../nats-message.ts';
import { Template } from '../template.ts';
import type { DialectOptions, MakeDialect } from './dialect.ts';
import { batchBody, binary, keyField, map, text, valueField } from './msgpack.ts';
import { type RequestShapes, RequestStream } from './requests.ts';

/** minikv over NATS: `minikv.api.<op>` with MessagePack bodies, one inbox per connection. */

const HEADER = 'NATS/1.0\r\nContent-Type: application/msgpack\r\n\r\n';
const CONNECT = {
  verbose: false,
  pedantic: false,
  headers: true,
  no_responders: true,
  protocol: 1,
};
const FAILED = Buffer.from('\xa4code', 'latin1');

export const natsDialect: MakeDialect = (options, done, write) => {
  const inbox = `_INBOX.bench.${options.random.next().toString(36)}`;
  const requests = new RequestStream(options, shapesOf(options, inbox), options.values);
  const value = Buffer.concat([text('value'), binary(options.valueBytes)]);
  const reader = new NatsReader({
    ping: () => write(Buffer.from('PONG\r\n')),
    message: (header, payload) => {
      const { expected, count } = requests;
      done(count, flawOf(header, payload, expected === 'get' ? value : null));
    },
  });
  return {
    greeting: Buffer.from(`CONNECT ${JSON.stringify(CONNECT)}\r\nSUB ${inbox} 1\r\n`),
    next: () => requests.next(),
    feed: (chunk) => reader.feed(chunk),
  };
};

function shapesOf({ valueBytes }: DialectOptions, inbox: string): RequestShapes {
  const ask = (op: string, fill: (template: Template) => Template): Template => {
    const { length } = fill(new Template(valueBytes)).bytes;
    const sizes = `${HEADER.length} ${HEADER.length + length}`;
    const template = new Template(valueBytes).text(`HPUB minikv.api.${op} ${inbox} ${sizes}\r\n`);
    return fill(template.text(HEADER)).text('\r\n');
  };
  return {
    put: () => ask('put', (t) => valueField(keyField(t.raw(map(2))))),
    get: () => ask('get', (t) => keyField(t.raw(map(1)))),
    batch: (count) => ask('batch', (t) => batchBody(t, count)),
    scan: () => null,
    scanAll: () => null,
  };
}

function flawOf(header: string, payload: Buffer, value: Buffer | null): string | null {
  if (!header.includes('\r\nMinikv-Status: 200\r\n')) {
    return `an answer has ${JSON.stringify(header)}: ${payload.toString('latin1', 0, 200)}`;
  }
  if (payload.includes(FAILED)) return 'an operation of a batch failed';
  return value === null || payload.includes(value) ? null : 'a value has another length';
}
