import { randomInt, seededRandom } from '../../protocol/random.ts';
import type { SwarmConfig } from './swarm.ts';

/** How many clients of each later kind a seed has: from streams of their own, so that older seeds keep everything else. */

export function drawLeaseClients(
  seed: number,
): Pick<SwarmConfig, 'leaseClientCount' | 'leaseHabits'> {
  const random = seededRandom(seed, 'lease-clients');
  const leaseClientCount = random.next() < 0.5 ? randomInt(random, 1, 3) : 0;
  const habits = seededRandom(seed, 'lease-habits');
  const leaseHabits = {
    ...{ revokesAtOnce: habits.next() < 0.5, letsGo: habits.next() < 0.3 },
    hasStrangers: seededRandom(seed, 'lease-strangers').next() < 0.3,
  };
  return { leaseClientCount, leaseHabits };
}

export function drawApart(seed: number): Pick<SwarmConfig, 'apartCount' | 'apartThinkMsMean'> {
  const random = seededRandom(seed, 'apart');
  const apartCount = random.next() < 0.3 ? 3 : 0;
  return { apartCount, apartThinkMsMean: 50 + 200 * random.next() };
}

export function drawUniqueClients(seed: number): number {
  const random = seededRandom(seed, 'unique-clients');
  return random.next() < 0.4 ? randomInt(random, 2, 4) : 0;
}

export function drawObjectClients(seed: number): number {
  const random = seededRandom(seed, 'object-clients');
  return random.next() < 0.5 ? randomInt(random, 1, 4) : 0;
}

export function drawNotifies(seed: number): boolean {
  return seededRandom(seed, 'notifications').next() < 0.35 && drawObjectClients(seed) > 0;
}

export function drawIdentityClients(seed: number): number {
  const random = seededRandom(seed, 'identity-clients');
  return random.next() < 0.3 ? randomInt(random, 1, 2) : 0;
}

export function drawQuotaClients(seed: number): number {
  const random = seededRandom(seed, 'quota-clients');
  return random.next() < 0.3 ? randomInt(random, 2, 4) : 0;
}

export function drawChunkClients(seed: number): number {
  const random = seededRandom(seed, 'chunk-clients');
  return random.next() < 0.15 ? randomInt(random, 1, 2) : 0;
}
