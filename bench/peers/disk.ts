import { join } from 'node:path';
import type { PeerKind } from './peer.ts';

/** The disk by itself: one append and its fdatasync after another, no server. */
export const disk: PeerKind = {
  name: 'disk',
  version: () => 'append and fdatasync',
  install: 'it is there',
  maxNodes: 1,
  start: async ({ folder }) => ({
    name: 'disk',
    dialect: 'disk',
    file: join(folder, 'zeros'),
    targets: [],
    pids: () => [],
    can: (kind, connections) => kind === 'put' && connections === 1,
    stop: async () => {},
  }),
};
