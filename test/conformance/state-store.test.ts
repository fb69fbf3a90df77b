import { systemClock } from '../../cli/system-clock.ts';
import { MemtableStore } from '../../storage/kv/state-store.ts';
import { ENGINES } from '../kit/engines.ts';
import { stateStoreConformance } from './state-store.ts';

const clock = systemClock({ holdOpen: true });

for (const [name, open] of Object.entries(ENGINES)) {
  const openStore = async () =>
    new MemtableStore(await open(), clock, {
      memtableBytes: 600,
      memtableAgeMs: 1,
      mayWrite: () => true,
      onFatal: (error) => {
        throw error;
      },
    });
  const isSlow = name === 'classic-level' || name === 'sim-engine';
  stateStoreConformance(name, openStore, isSlow ? 40 : 300);
}
