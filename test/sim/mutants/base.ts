import type { Patch } from './mutant.ts';

export const BASE = {
  seedsMax: 10,
  seconds: 30,
  nodes: 3,
  busy: undefined,
  favourite: undefined,
  weather: undefined,
  patches: [],
  filterPorts: null,
} as const;

export function patch(file: string, find: string, replace: string): readonly Patch[] {
  return [{ file, find, replace }];
}
