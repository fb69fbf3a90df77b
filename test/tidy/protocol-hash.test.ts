import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { commandCodec } from '../../protocol/commands.ts';
import { WIRE_SHAPE } from '../../protocol/envelope.ts';
import { configCodec } from '../../protocol/membership.ts';
import { PROTOCOL_VERSION } from '../../protocol/version.ts';

const FILE = new URL('./protocol-hash.json', import.meta.url);
const hash = (shape: string): string => createHash('sha256').update(shape).digest('hex');

/** Messages, and what log entries hold: both are read by nodes of other versions. */
const current = {
  version: PROTOCOL_VERSION,
  messages: hash(WIRE_SHAPE),
  commands: hash(commandCodec.shape),
  config: hash(configCodec.shape),
};

describe('the wire format', () => {
  it('changes only together with the protocol version', () => {
    if (process.env['MINIKV_REWRITE'] === '1') {
      writeFileSync(FILE, `${JSON.stringify(current, null, 2)}\n`);
    }
    const pinned = JSON.parse(readFileSync(FILE, 'utf8'));
    expect(
      current,
      [
        'The shape of a message or of a log entry has changed.',
        'Raise PROTOCOL_VERSION, add a line of history in protocol/version.ts, keep a decoder for the',
        'versions from the floor on, and run MINIKV_REWRITE=1 npx vitest run test/tidy/protocol-hash.test.ts.',
        'Until the first release the last step alone is enough.',
      ].join(' '),
    ).toEqual(pinned);
  });
});
