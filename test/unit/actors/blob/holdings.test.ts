import { describe, expect, it } from 'vitest';
import type { ScrubPace } from '../../../../actors/blob/scrub-plan.ts';
import type { ChunkName } from '../../../../protocol/blob.ts';
import type { ChunksHeld } from '../../../../protocol/messages/node.ts';
import { CHUNK, Kept } from '../../../kit/kept-node.ts';

const PACE: ScrubPace = { periodMs: 3_600_000, bytesPerSecondMin: 1e3, bytesPerSecondMax: 1e3 };

/** What the node says after so many seconds. */
async function saidAfter(kept: Kept, seconds: number): Promise<ChunksHeld> {
  for (let s = 0; s < seconds; s++) {
    kept.keeper.tick();
    await kept.time.pass(1_000);
  }
  return kept.keeper.holdings.said()[0] as ChunksHeld;
}

async function lacking(kept: Kept): Promise<ChunkName[]> {
  const names = [...(await kept.object('a', CHUNK * 2)), ...(await kept.object('b', CHUNK))];
  await kept.time.until(kept.own.remove(names));
  return names;
}

describe('what a replica says of its chunks', () => {
  it('is nothing before it has looked, then the index up to which all that is named is here', async () => {
    const kept = new Kept(PACE);
    await lacking(kept);
    expect(kept.keeper.holdings.said()).toMatchObject([{ heldTo: null, voters: 2, isVoter: true }]);
    const { appliedIndex } = kept.group.state;
    expect(await saidAfter(kept, 4)).toMatchObject({
      ...{ heldTo: appliedIndex, chunks: 3, missing: 0, lost: 0 },
    });
    // Another group's rows, or what is named later, change nothing of it.
    await kept.object('c', CHUNK);
    expect(await saidAfter(kept, 2)).toMatchObject({ heldTo: appliedIndex });
  });

  it('is begun anew when the members have changed, once the rows have that configuration', async () => {
    const kept = new Kept(PACE);
    await kept.object('a', CHUNK);
    await saidAfter(kept, 4);
    kept.configIndex = kept.group.state.appliedIndex + 1;
    expect(await saidAfter(kept, 5)).toMatchObject({ heldTo: null });
    const [late] = await kept.object('late', CHUNK);
    await kept.time.until(kept.own.remove([late as ChunkName]));
    expect((await saidAfter(kept, 3)).heldTo).toBe(kept.group.state.appliedIndex);
    expect(kept.mended).toHaveLength(1);
  });

  it('tells of what no node gives, by name, and is whole when that is put again or deleted', async () => {
    const kept = new Kept(PACE);
    const names = await lacking(kept);
    await kept.time.until(kept.other.remove(names.slice(2)));
    expect(await saidAfter(kept, 4)).toMatchObject({ heldTo: null, missing: 1, lost: 1 });
    expect(kept.telemetry.lines).toContainEqual(
      expect.objectContaining({
        message: 'no node has this chunk of an object',
        fields: expect.objectContaining({ key: 'b', chunk: 0 }),
      }),
    );
    kept.remove('b');
    const { appliedIndex } = kept.group.state;
    expect(await saidAfter(kept, 12)).toMatchObject({ heldTo: appliedIndex, missing: 0, lost: 0 });
  });

  it('is void when a chunk is damaged that nobody else has, until all has been looked at again', async () => {
    const kept = new Kept(PACE);
    const names = await kept.object('a', CHUNK);
    const { heldTo } = await saidAfter(kept, 4);
    expect(heldTo).not.toBeNull();
    await kept.damage(names[0] as ChunkName);
    await kept.time.until(kept.other.remove(names));
    kept.keeper.unreadable(names[0] as ChunkName, []);
    expect(await saidAfter(kept, 3)).toMatchObject({ heldTo: null, lost: 1 });
  });

  it('is void while a snapshot has other rows than those that were looked at', async () => {
    const kept = new Kept(PACE);
    await kept.object('a', CHUNK);
    expect((await saidAfter(kept, 4)).heldTo).not.toBeNull();
    kept.reopen();
    expect(kept.keeper.holdings.said()).toMatchObject([{ heldTo: null }]);
    expect((await saidAfter(kept, 3)).heldTo).not.toBeNull();
  });
});
