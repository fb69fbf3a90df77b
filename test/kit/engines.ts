import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../cli/system-clock.ts';
import { seededRandom } from '../../protocol/random.ts';
import { openClassicEngine } from '../../storage/kv/classic-engine.ts';
import { CompressedEngine } from '../../storage/kv/compressed-engine.ts';
import { openMemoryLevelEngine } from '../../storage/kv/level-engine.ts';
import { MemoryEngine } from '../../storage/kv/memory-engine.ts';
import { ValueCompression } from '../../storage/kv/value-compression.ts';
import type { KvEngine } from '../../storage/ports.ts';
import { SimEngineStore } from '../sim/sim-engine.ts';
import { sealedEngine } from './seals.ts';

/** A folder in the machine's temporary folder; the test that made it leaves it to the system. */
export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'minikv-test-'));
}

const LZ4 = [{ prefix: '', codec: 'lz4' }] as const;
const clock = systemClock({ holdOpen: true });

/** Every KvEngine there is, each opened empty, on real time. */
export const ENGINES: Readonly<Record<string, () => Promise<KvEngine>>> = {
  'classic-level': async () =>
    openClassicEngine(await temporaryFolder(), { bootId: 'boot-1', clock }),
  'memory-level': () => openMemoryLevelEngine(clock),
  'memory-engine': async () => new MemoryEngine(clock),
  'compressed-engine': async () =>
    new CompressedEngine(new MemoryEngine(clock), new ValueCompression(LZ4), clock),
  'sealed-engine': async () => sealedEngine(new MemoryEngine(clock), clock),
  'sealed-classic': async () =>
    sealedEngine(
      await openClassicEngine(await temporaryFolder(), { bootId: 'boot-1', clock }),
      clock,
    ),
  'sim-engine': async () => new SimEngineStore(seededRandom(1, 'engine')).open(clock),
};
