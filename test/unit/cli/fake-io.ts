import type { Io } from '../../../cli/io.ts';
import { systemClock } from '../../../cli/system-clock.ts';
import { systemRandom } from '../../../cli/system-random.ts';

/** The process as a test sees it: what was written, and a switch for Ctrl-C. */
export interface TestIo extends Io {
  readonly written: { out: string; err: string };
  interrupt(): void;
}

export function testIo(given: { env?: Io['env']; stdin?: string | Uint8Array } = {}): TestIo {
  const written = { out: '', err: '' };
  const stopping = new AbortController();
  const { env = {}, stdin } = given;
  return {
    env,
    stdin: (async function* () {
      if (stdin !== undefined) yield Buffer.from(stdin as string);
    })(),
    stdinIsTerminal: stdin === undefined,
    outIsTerminal: false,
    errIsTerminal: false,
    out: async (text) => {
      written.out += typeof text === 'string' ? text : Buffer.from(text).toString();
    },
    err: (text) => {
      written.err += text;
    },
    readFile: () => '',
    signal: stopping.signal,
    clock: systemClock({ holdOpen: true }),
    random: systemRandom(),
    written,
    interrupt: () => stopping.abort(),
  };
}
