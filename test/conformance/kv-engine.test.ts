import { ENGINES } from '../kit/engines.ts';
import { kvEngineConformance } from './kv-engine.ts';

for (const [name, open] of Object.entries(ENGINES)) kvEngineConformance(name, open);
