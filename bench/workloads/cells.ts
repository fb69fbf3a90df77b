import type { Options } from '../options.ts';
import type { CellPlan } from './load.ts';

/** The closed loops of a run, in order. */
export function cellPlans(options: Options, nodes: number): CellPlan[] {
  const { only, connections, quick } = options;
  const plans: CellPlan[] = [];
  const add = (workload: CellPlan['workload'], plan: Omit<CellPlan, 'workload' | 'nodes'>) => {
    if (only.includes(workload)) plans.push({ workload, nodes, ...plan });
  };
  for (const count of connections) {
    add('put', { name: 'put', connections: count, operation: { kind: 'put' } });
  }
  for (const count of connections) {
    add('get', { name: 'get', connections: count, operation: { kind: 'get' } });
  }
  const mix = { kind: 'mix', putShare: 0.05 } as const;
  add('mix', { name: 'get 95 %, put 5 %', connections: 64, operation: mix });
  for (const count of quick ? [4] : [4, 16]) {
    const operation = { kind: 'batch', size: 1000 } as const;
    add('batch', { name: 'batch of 1,000', connections: count, operation });
  }
  add('scan', { name: 'scan of 100', connections: 16, operation: { kind: 'scan', limit: 100 } });
  add('scan', { name: 'scan of all', connections: 1, operation: { kind: 'scan-all' } });
  return plans;
}
