import type { HttpConfig } from '../../gateways/http/app.ts';
import { createHttpServer, type HttpServer } from '../../gateways/http/server.ts';
import { NO_TELEMETRY, type Telemetry } from '../../observability/port.ts';
import { seededRandom } from '../../protocol/random.ts';
import { ModelService } from './model-service.ts';
import { REAL_CLOCK } from './real-clock.ts';

export interface ModelServer {
  readonly url: string;
  readonly service: ModelService;
  readonly server: HttpServer;
  readonly stop: () => Promise<void>;
}

/** The real listener over the model service, on a free port. */
export async function startModelServer(
  config: Partial<HttpConfig> = {},
  service = new ModelService(),
  telemetry: Telemetry = NO_TELEMETRY,
): Promise<ModelServer> {
  const server = await createHttpServer({
    ...{ service, telemetry, clock: REAL_CLOCK, random: seededRandom(1), version: '0.1.0' },
    config: { host: '127.0.0.1', port: 0, allowUnsigned: true, ...config },
    stateHashes: async () => [{ group: 1, replica: 'n1:1', appliedIndex: 0, hash: '0'.repeat(16) }],
    metricsText: async () => '# HELP minikv_up 1 while it runs\nminikv_up 1\n',
  });
  const { url } = await server.listen();
  return { url, service, server, stop: () => server.close() };
}
