import { parseArgs } from 'node:util';
import { FAULT_KINDS } from './nemesis.ts';

export interface Arguments {
  readonly seed: number;
  readonly minutes: number;
  /** Names of the kinds of faults to draw from. */
  readonly faults: readonly string[];
  /** A known bug to build in, which must be found; null: the product as it is. */
  readonly mutant: string | null;
  /** A history to check again instead of a run; null: a run. */
  readonly check: string | null;
  /** Where the summary goes as JSON; null: a file of its own under test/torture/results. */
  readonly out: string | null;
  /** Keep the history and the logs of a good run, too. */
  readonly keep: boolean;
  /** Use no namespaces, as on a machine without them. */
  readonly loopback: boolean;
  readonly basePort: number;
  /** All nodes must be level so soon after a fault. */
  readonly levelMs: number;
}

export const USAGE = `usage: npm run torture -- [options]
  --seed N           of faults and clients (default 1)
  --minutes M        of faults (default 12)
  --faults A,B       kinds to draw from (default all): ${FAULT_KINDS.map(({ name }) => name).join(' ')}
  --mutant NAME      torture a build with a known bug; succeeds when it is found
  --check FILE       check a saved history again
  --out FILE         write the summary there, as JSON
  --keep             keep history and logs of a good run
  --loopback         no network namespaces
  --level-ms N       all nodes must be level so soon after a fault (default 10000)
  --base-port N      first of 30 ports on loopback (default 23500)`;

/** Throws an Error with a line for people when they are not valid. */
export function parseArguments(args: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: '1' },
      minutes: { type: 'string', default: '12' },
      faults: { type: 'string' },
      mutant: { type: 'string' },
      check: { type: 'string' },
      out: { type: 'string' },
      keep: { type: 'boolean', default: false },
      loopback: { type: 'boolean', default: false },
      'level-ms': { type: 'string', default: '10000' },
      'base-port': { type: 'string', default: '23500' },
    },
  });
  const known = FAULT_KINDS.map(({ name }) => name);
  const faults = values.faults?.split(',') ?? known;
  const strange = faults.find((name) => !known.includes(name));
  if (strange !== undefined) throw new Error(`no fault ${strange}; there are ${known.join(', ')}`);
  return {
    seed: numberOf('seed', values.seed, 0),
    minutes: numberOf('minutes', values.minutes, 0),
    faults,
    mutant: values.mutant ?? null,
    check: values.check ?? null,
    out: values.out ?? null,
    ...{ keep: values.keep, loopback: values.loopback },
    levelMs: numberOf('level-ms', values['level-ms'], 1),
    basePort: numberOf('base-port', values['base-port'], 1),
  };
}

function numberOf(name: string, text: string, min: number): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < min) throw new Error(`--${name}: ${text} is no number`);
  return value;
}
