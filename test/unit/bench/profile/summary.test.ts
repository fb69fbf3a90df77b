import { expect, test } from 'vitest';
import { type CpuProfile, sliceOf, summaryOfProfile } from '../../../../bench/profile/summary.ts';

const node = (id: number, functionName: string, url: string, children: number[]) => ({
  ...{ id, callFrame: { functionName, url, lineNumber: 9 }, children },
});

/** root -> turn -> (turn -> write), idle; a sample each 10 us. */
const PROFILE: CpuProfile = {
  nodes: [
    node(1, '(root)', '', [2, 5, 6]),
    node(2, 'turn', 'file:///somewhere/dist/actors/kit/turn-loop.js', [3]),
    node(3, 'turn', 'file:///somewhere/dist/actors/kit/turn-loop.js', [4]),
    node(4, 'write', 'file:///somewhere/node_modules/a/node_modules/@b/c/index.js', []),
    node(5, '(idle)', '', []),
    node(6, 'early', 'file:///somewhere/dist/cli/main.js', []),
  ],
  startTime: 1_000,
  endTime: 1_100,
  samples: [6, 6, 2, 3, 4, 4, 5, 5],
  timeDeltas: [10, 10, 10, 10, 10, 10, 10, 10],
};

test('only what was sampled in the window is kept, with paths of the repository', () => {
  const slice = sliceOf(PROFILE, 1_021, 1_200);
  expect(slice.samples).toEqual([2, 3, 4, 4, 5, 5]);
  expect(slice.nodes.map(({ callFrame }) => callFrame.url)).toEqual([
    ...['', 'actors/kit/turn-loop.js', 'actors/kit/turn-loop.js', '@b/c/index.js', ''],
  ]);
  expect(slice.nodes[0]?.children).toEqual([2, 5]);
});

test('shares leave idle time out, and a function that calls itself counts once', () => {
  const found = summaryOfProfile('put', sliceOf(PROFILE, 1_021, 1_200));
  expect(found.self).toEqual([
    { name: 'turn actors/kit/turn-loop.js:10', share: 0.5 },
    { name: 'write @b/c/index.js:10', share: 0.5 },
  ]);
  expect(found.inclusive).toEqual([
    { name: 'turn actors/kit/turn-loop.js:10', share: 1 },
    { name: 'write @b/c/index.js:10', share: 0.5 },
  ]);
});
