import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BOUNDS, FIGURES, type SoakResult, soak } from './soak.ts';

/**
 * `npm run soak`: mixed load on one node and on three, ten minutes each, and whether memory, files,
 * sockets and the event loop's lag stay flat. Exits 1 when something grows.
 */
/** More than all rings of recent changes of a node together hold, and than the log up to two checkpoints. */
const FILL = 300_000;

const USAGE = `npm run soak -- [options]
  --minutes N   of load, each (10)
  --nodes N     1 or 3 instead of both
  --rate N      operations per second (300)
  --json file   all samples`;

function table(nodeCount: number, { minutes, counts, nodes, flaws }: SoakResult): string {
  const { ok, refused, failed, dropped, watches, events } = counts;
  const lines = [
    `${nodeCount} node${nodeCount > 1 ? 's' : ''}, ${minutes} minutes: ${ok} answered, ` +
      `${refused + failed} not, ${dropped} dropped; ${watches} watches saw ${events} events`,
    'node  figure    median      end     per minute   bound',
  ];
  for (const { node, verdicts } of nodes) {
    for (const figure of FIGURES) {
      const { median, last, slopePerMinute, isFlat } = verdicts[figure];
      const cells = [
        ...[node.padEnd(5), figure.padEnd(8), median.toFixed(1).padStart(7)],
        ...[last.toFixed(1).padStart(8), slopePerMinute.toFixed(2).padStart(12)],
        `${String(BOUNDS[figure].slopeMax).padStart(7)}${isFlat ? '' : '  GROWS'}`,
      ];
      lines.push(cells.join(' '));
    }
  }
  return [...lines, ...flaws.map((flaw) => `FLAW: ${flaw}`)].join('\n');
}

function readFlags() {
  const text = { type: 'string' } as const;
  const options = { minutes: text, nodes: text, rate: text, json: text };
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: 'boolean' } } });
    if (values.nodes !== undefined && !['1', '3'].includes(values.nodes)) {
      throw new Error('--nodes: 1 or 3');
    }
    for (const flag of ['minutes', 'rate'] as const) {
      if (!(Number(values[flag] ?? 1) > 0)) throw new Error(`--${flag}: a number above 0`);
    }
    return values;
  } catch (error) {
    console.error(`error: ${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

async function main(): Promise<number> {
  const values = readFlags();
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  const sizes = values.nodes === undefined ? [1, 3] : [Number(values.nodes)];
  const results: Record<string, SoakResult> = {};
  for (const nodes of sizes) {
    const result = await soak({
      nodes,
      minutes: Number(values.minutes ?? 10),
      perSecond: Number(values.rate ?? 300),
      fill: FILL,
      say: (line) => console.log(line),
    });
    results[`${nodes}`] = result;
    console.log(table(nodes, result));
  }
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(results, null, 1));
  return Object.values(results).every(({ flaws }) => flaws.length === 0) ? 0 : 1;
}

process.exit(await main());
