import { parseArgs } from 'node:util';
import { AREAS } from './areas.ts';
import { KNOWN_GAPS } from './known-gaps.ts';
import { type Outcome, runCases } from './runner.ts';
import { Connections, type Target } from './world.ts';

/**
 * The suite against any endpoint:
 *
 *   node --import tsx test/s3/run.ts --endpoint URL --access-key K --secret-key S
 *     [--second-access-key K --second-secret-key S] [--region R] [--area A] [--case TEXT] [--width N]
 *
 * The second pair is another user's, and neither of the two is an administrator's: without it there is no area `users`. A line for each case, a table of areas, and exit code 0 when all is as known-gaps.ts says.
 */

const USAGE =
  'usage: run.ts --endpoint URL --access-key K --secret-key S [--second-access-key K --second-secret-key S] [--region R] [--area A] [--case TEXT] [--width N]';

function verdict({ case: { name }, failure }: Outcome): string {
  const isGap = Object.hasOwn(KNOWN_GAPS, name);
  if (failure === null) return isGap ? 'PASS, but listed as a gap' : 'pass';
  return isGap ? 'gap' : 'FAIL';
}

function table(outcomes: readonly Outcome[]): string {
  const row = (cells: readonly (string | number)[]): string =>
    cells.map((cell, i) => (i === 0 ? String(cell).padEnd(20) : String(cell).padStart(8))).join('');
  const rows = [row(['area', 'cases', 'passed', 'failed', 'gaps'])];
  const count = (name: string, of: readonly Outcome[]): void => {
    const passed = of.filter(({ failure }) => failure === null).length;
    const gaps = of.filter((outcome) => verdict(outcome) === 'gap').length;
    rows.push(row([name, of.length, passed, of.length - passed - gaps, gaps]));
  };
  for (const { name } of AREAS) {
    const of = outcomes.filter((outcome) => outcome.case.area === name);
    if (of.length > 0) count(name, of);
  }
  count('all', outcomes);
  return rows.join('\n');
}

function tell(outcome: Outcome): void {
  const { failure, leftBehind, tookMs } = outcome;
  console.log(`${verdict(outcome)}: ${outcome.case.name} (${Math.round(tookMs)} ms)`);
  if (failure !== null) console.log(`    ${firstLines(failure.message)}`);
  if (leftBehind !== null) console.log(`    LEFT BEHIND: ${firstLines(leftBehind.message)}`);
}

function firstLines(text: string): string {
  return text.split('\n').slice(0, 12).join('\n    ');
}

function secondOf(accessKeyId?: string, secretAccessKey?: string): Pick<Target, 'second'> {
  if (!accessKeyId || !secretAccessKey) return {};
  return { second: { accessKeyId, secretAccessKey } };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      endpoint: { type: 'string' },
      'access-key': { type: 'string' },
      'secret-key': { type: 'string' },
      'second-access-key': { type: 'string' },
      'second-secret-key': { type: 'string' },
      region: { type: 'string', default: 'us-east-1' },
      area: { type: 'string', multiple: true, default: [] },
      case: { type: 'string', default: '' },
      width: { type: 'string', default: '4' },
    },
  });
  const { endpoint, 'access-key': accessKeyId, 'secret-key': secretAccessKey } = values;
  const unknown = values.area.filter((name) => !AREAS.some((one) => one.name === name));
  if (!endpoint || !accessKeyId || !secretAccessKey || unknown.length > 0) {
    console.error(USAGE);
    console.error(`areas: ${AREAS.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  const target: Target = {
    endpoint,
    credentials: { accessKeyId, secretAccessKey },
    region: values.region,
    ...secondOf(values['second-access-key'], values['second-secret-key']),
  };
  const areas = AREAS.filter(({ name }) => name !== 'users' || target.second !== undefined);
  const cases = areas
    .filter(({ name }) => values.area.length === 0 || values.area.includes(name))
    .flatMap((one) => one.cases)
    .filter(({ name }) => name.includes(values.case));
  const connections = new Connections(target);
  const outcomes = await runCases(connections, cases, Number(values.width), tell);
  connections.close();
  console.log(`\n${table(outcomes)}`);
  // A gap stops half-way, perhaps with a lock on what it has put.
  const leftBehind = outcomes.filter(
    (outcome) => outcome.leftBehind !== null && verdict(outcome) !== 'gap',
  ).length;
  if (leftBehind > 0) console.log(`${leftBehind} cases left buckets behind`);
  const asKnown = outcomes.every((outcome) => ['pass', 'gap'].includes(verdict(outcome)));
  return asKnown && leftBehind === 0 && outcomes.length > 0 ? 0 : 1;
}

process.exitCode = await main();
