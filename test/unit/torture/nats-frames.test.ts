import { expect, it } from 'vitest';
import { FrameReader } from '../../torture/network/nats-frames.ts';

const STREAM =
  'INFO {"server_id":"PUB "}\r\nSUB a.b 1\r\nPUB a.b 5\r\nhe\r\no\r\nHPUB a.b c 12 17\r\nNATS/1.0\r\n\r\nhello\r\n' +
  'MSG a.b 1 0\r\n\r\nPING\r\nHMSG a.b 1 12 12\r\nNATS/1.0\r\n\r\n\r\n+OK\r\n';
const FRAMES = [
  'INFO {"server_id":"PUB "}\r\n',
  'SUB a.b 1\r\n',
  'PUB a.b 5\r\nhe\r\no\r\n',
  'HPUB a.b c 12 17\r\nNATS/1.0\r\n\r\nhello\r\n',
  'MSG a.b 1 0\r\n\r\n',
  'PING\r\n',
  'HMSG a.b 1 12 12\r\nNATS/1.0\r\n\r\n\r\n',
  '+OK\r\n',
];

it.each([1, 2, 3, 7, 1000])(
  'cuts a stream that comes %i bytes at a time into its frames',
  (step) => {
    const reader = new FrameReader();
    const found: { text: string; isMessage: boolean }[] = [];
    const bytes = Buffer.from(STREAM);
    for (let at = 0; at < bytes.length; at += step) {
      for (const frame of reader.push(bytes.subarray(at, at + step))) {
        found.push({ text: frame.bytes.toString(), isMessage: frame.isMessage });
      }
    }
    expect(found.map(({ text }) => text)).toEqual(FRAMES);
    const messages = found.filter(({ isMessage }) => isMessage).map(({ text }) => text);
    expect(messages).toEqual(FRAMES.filter((text) => /^H?(PUB|MSG)/.test(text)));
  },
);
