import { expect, test } from 'vitest';
import { parseOptions, WORKLOADS } from '../../../bench/options.ts';
import { cellPlans } from '../../../bench/workloads/cells.ts';

test('a plain run is everything, and writes its results', () => {
  expect(parseOptions([])).toMatchObject({
    ...{ only: WORKLOADS, nodes: [1, 3], rounds: 3, seconds: 2.5, isFull: true },
    ...{ connections: [1, 64, 256], out: 'bench/results', against: [] },
  });
});

test('a part of it, or a quick one, only shows', () => {
  for (const args of [['--quick'], ['--only', 'put,get'], ['--nodes', '1'], ['--peers', 'etcd']]) {
    expect(parseOptions(args)).toMatchObject({ isFull: false, out: null });
  }
  expect(parseOptions(['--only', 'put', '--out', 'here'])).toMatchObject({ out: 'here' });
  expect(parseOptions(['--help'])).toBeNull();
});

test('other builds have a name and a file', () => {
  const options = parseOptions(['--against', 'before=a/main.js', '--against', 'x=b/main.js']);
  expect(options?.against).toEqual([
    { name: 'before', main: 'a/main.js' },
    { name: 'x', main: 'b/main.js' },
  ]);
});

test.each([
  ['--only', 'nothing'],
  ['--nodes', '2'],
  ['--rounds', '0'],
  ['--seconds', 'long'],
  ['--against', 'main.js'],
  ['--unknown', 'x'],
])('%s %s is refused', (...args) => {
  expect(() => parseOptions(args)).toThrow();
});

test('put and get have a cell for each number of connections, and only what was asked for', () => {
  const options = parseOptions(['--only', 'put,scan', '--connections', '2,8']);
  const plans = cellPlans(options as NonNullable<typeof options>, 3);
  expect(plans.map(({ workload, connections, nodes }) => [workload, connections, nodes])).toEqual([
    ['put', 2, 3],
    ['put', 8, 3],
    ['scan', 16, 3],
    ['scan', 1, 3],
  ]);
});
