import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Clock } from '../protocol/clock.ts';
import type { Random } from '../protocol/random.ts';
import { MemoryDisk } from '../storage/disk/memory-disk.ts';
import { NodeDisk } from '../storage/disk/node-disk.ts';
import { openClassicEngine } from '../storage/kv/classic-engine.ts';
import { MemoryEngine } from '../storage/kv/memory-engine.ts';
import { ValueCompression } from '../storage/kv/value-compression.ts';
import { openStorage } from '../storage/open.ts';
import type { StoragePorts } from '../storage/ports.ts';
import type { Sealing } from './at-rest.ts';
import type { Config } from './config.ts';

const STATE_FOLDER = 'state';

interface StorageParts {
  readonly clock: Clock;
  readonly random: Random;
  /** Null: what is on disk is not encrypted. */
  readonly sealing: Sealing | null;
  readonly fatal: (reason: string, error: unknown) => void;
}

/** Where a node keeps what it has: a folder of the disk, or memory. */
export function storageOf(
  config: Config,
  { clock, random, sealing, fatal }: StorageParts,
): StoragePorts {
  if (config.ephemeral) {
    return openStorage({
      disk: new MemoryDisk(clock),
      clock,
      random,
      prepareAhead: false,
      ...{ keys: null, rotation: null, compression: new ValueCompression([]) },
      openEngine: async () => new MemoryEngine(clock),
      setEngineAside: async () => {},
      onFatal: fatal,
    });
  }
  const root = resolve(config.data);
  const disk = new NodeDisk(root);
  return openStorage({
    disk,
    clock,
    random,
    prepareAhead: true,
    keys: sealing?.keys ?? null,
    rotation: sealing?.rotation ?? null,
    compression: new ValueCompression(config.compression),
    openEngine: () =>
      openClassicEngine(join(root, STATE_FOLDER), {
        ...{ bootId: bootId(), clock },
        onDamage: (damage) => fatal('the state is damaged; the next start sets it aside', damage),
      }),
    setEngineAside: async (folder) => {
      if ((await disk.list(STATE_FOLDER)).length > 0) await disk.rename(STATE_FOLDER, folder);
    },
    onFatal: fatal,
  });
}

/** Changes with every start of the machine; '' where the system does not tell. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}
