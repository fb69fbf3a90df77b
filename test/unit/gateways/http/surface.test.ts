import { describe } from 'vitest';
import { storesOf } from '../../../../gateways/identity/tenant-store.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import { startModelServer } from '../../../kit/http-start.ts';
import { httpSuite } from '../../../kit/http-suite.ts';
import { ModelService } from '../../../kit/model-service.ts';

describe('the store', () => httpSuite(() => startModelServer()));

/** Whatever there is, a tenant has it too. */
describe('the store of a tenant', () =>
  httpSuite(() => {
    const service = new ModelService();
    const more = { service: storesOf(service)('acme') };
    return startModelServer({}, service, NO_TELEMETRY, more);
  }, 'acme'));
