import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SseParser } from '../../../client/sse.ts';

const STREAM = [
  ': watching\n\n',
  'event: put\nid: a1\ndata: {"key":"ä"}\n\n',
  'event: put\r\ndata: {"a":\r\ndata: 1}\r\n\r\n',
  'data\nretry: 500\n\n',
  '\n\n',
].join('');
const EVENTS = [
  { event: null, id: null, data: null },
  { event: 'put', id: 'a1', data: '{"key":"ä"}' },
  { event: 'put', id: null, data: '{"a":\n1}' },
  { event: null, id: null, data: '' },
];

it('finds the same events however the bytes are cut into pieces', () => {
  const bytes = new TextEncoder().encode(STREAM);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length)), (cuts) => {
      const parser = new SseParser();
      const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const found = places
        .slice(1)
        .flatMap((end, i) => parser.take(bytes.subarray(places[i] as number, end)));
      expect(found).toEqual(EVENTS);
    }),
  );
});

it('says nothing of an event whose end has not come', () => {
  const parser = new SseParser();
  expect(parser.take(new TextEncoder().encode('event: put\nid: 1\ndata: x\n'))).toEqual([]);
});
