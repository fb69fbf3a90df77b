import type { MakeDialect } from './dialect.ts';
import { minikvDialect } from './minikv.ts';

/** The bare server answers the same requests, those about one key. */
export const bareDialect: MakeDialect = (options, done, write) => {
  const { kind } = options.operation;
  if (kind !== 'put' && kind !== 'get' && kind !== 'mix') {
    throw new Error(`this server has no ${kind}`);
  }
  return minikvDialect(options, done, write);
};
