import type { HttpConfig } from '../../gateways/http/app.ts';
import {
  createHttpServer,
  type HttpServer,
  type HttpServerOptions,
} from '../../gateways/http/server.ts';
import { NO_TELEMETRY, type Telemetry } from '../../observability/port.ts';
import type { ChunkCare, OnCare, RepairCounts } from '../../protocol/chunk-care.ts';
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
  more: Partial<HttpServerOptions> = {},
): Promise<ModelServer> {
  const server = await createHttpServer({
    ...{ service, telemetry, clock: REAL_CLOCK, random: seededRandom(1), version: '0.1.0' },
    config: { host: '127.0.0.1', port: 0, allowUnsigned: true, ...config },
    chunks: () => NO_CHUNKS,
    stateHashes: async () => [{ group: 1, replica: 'n1:1', appliedIndex: 0, hash: '0'.repeat(16) }],
    metricsText: async () => '# HELP minikv_up 1 while it runs\nminikv_up 1\n',
    ...more,
  });
  const { url } = await server.listen();
  return { url, service, server, stop: () => server.close() };
}

const NOTHING_FOUND: RepairCounts = {
  ...{ verified: 0, verifiedBytes: 0, damaged: 0, foreign: 0 },
  ...{ chunks: 0, missing: 0, mended: 0, lost: 0 },
};
const NOTHING_SWEPT = { named: 0, young: 0, unseen: 0, unneeded: 0, removed: 0, removedBytes: 0 };
const NO_CHUNKS: ChunkCare = {
  verify: async (onCare) => nothing(NOTHING_FOUND, onCare),
  repair: async (onCare) => nothing(NOTHING_FOUND, onCare),
  sweep: async (onCare) => nothing(NOTHING_SWEPT, onCare),
};

function nothing<C>(counts: C, onCare?: OnCare<C>): C {
  onCare?.({ phase: 'reading', looked: 0, total: 0, counts });
  return counts;
}
