import type { Bus } from '../../actors/kit/ports.ts';
import { InProcessHub } from '../../gateways/peer/in-process-bus.ts';
import { openNatsBus } from '../../gateways/peer/nats-bus.ts';
import { SealedBus } from '../../gateways/peer/sealed-bus.ts';
import { NO_TELEMETRY } from '../../observability/port.ts';
import { testNats } from '../kit/nats-server.ts';
import { REAL_CLOCK } from '../kit/real-clock.ts';
import { sleep, until } from '../kit/wait.ts';
import { type BusWorld, busConformance } from './bus.ts';

const ports = { clock: REAL_CLOCK, telemetry: NO_TELEMETRY };

async function inProcess(): Promise<BusWorld> {
  const hub = new InProcessHub(ports);
  return {
    bus: async () => hub.bus(),
    until,
    settle: () => sleep(20),
    dispose: async () => {},
  };
}

async function overNats(): Promise<BusWorld> {
  const server = await testNats();
  const buses: Bus[] = [];
  return {
    bus: async () => {
      const bus = await openNatsBus(
        {
          cluster: 'test',
          name: 'conformance',
          servers: [server.url],
          credentials: { kind: 'none' },
          tls: null,
          connectWaitMs: 5_000,
        },
        ports,
      );
      buses.push(bus);
      return bus;
    },
    until,
    settle: () => sleep(60),
    dispose: async () => {
      await Promise.all(buses.map((bus) => bus.drain()));
      await server.dispose();
    },
  };
}

const sealed = (make: () => Promise<BusWorld>) => async (): Promise<BusWorld> => {
  const world = await make();
  const secrets = { current: 'a secret of the cluster, long enough', previous: null };
  return { ...world, bus: async () => new SealedBus(await world.bus(), secrets, NO_TELEMETRY) };
};

busConformance('in process', inProcess);
busConformance('over NATS', overNats);
busConformance('in process, sealed', sealed(inProcess));
busConformance('over NATS, sealed', sealed(overNats));
