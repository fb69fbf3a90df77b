import type { Node } from '../actors/node-port.ts';
import type { Clock } from '../protocol/clock.ts';
import type { AppError } from '../protocol/errors.ts';
import type { KvService } from '../protocol/service.ts';
import type { ObjectGate } from './object-gate.ts';
import type { ServiceGate } from './service-gate.ts';

const READY_POLL_MS = 20;

/** The edge of a node: all that its clients reach. */
export interface NodeEdge {
  open(): void;
  close(why: AppError): void;
  /** Resolves when the node can serve. */
  ready(): Promise<void>;
}

export function edgeOf(node: Node, gate: ServiceGate, objects: ObjectGate, clock: Clock): NodeEdge {
  return {
    open() {
      gate.open(node.service);
      objects.open(node.objects);
    },
    close(why) {
      gate.close(why);
      objects.close(why);
    },
    ready: () => untilReady(clock, node.service),
  };
}

function untilReady(clock: Clock, service: KvService): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (service.status().ready) resolve();
      else clock.after(READY_POLL_MS, look);
    };
    look();
  });
}
