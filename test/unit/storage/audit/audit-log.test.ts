import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AuditEvent, AuditFilter, AuditRecord } from '../../../../protocol/audit.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { AUDIT_FOLDER, AuditLog, isTrail, linesOf } from '../../../../storage/audit/audit-log.ts';
import { NO_HASH, sealed, TrailChecker } from '../../../../storage/audit/chain.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import { type Disk, DiskError } from '../../../../storage/disk/port.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';

const ALL: AuditFilter = { sinceMs: null, untilMs: null, who: null, action: null, denied: false };
const event = (i: number, more: Partial<AuditEvent> = {}): AuditEvent => ({
  ...{ who: 'admin', from: '127.0.0.1', action: 'admin:write', resource: `POST /admin/keys/${i}` },
  ...{ status: 200, requestId: `r-${i}` },
  ...more,
});

function setUp(given: { disk?: Disk; fileBytesMax?: number; filesMax?: number } = {}) {
  const time = new VirtualTime(1);
  const { clock } = time.process();
  const disk = given.disk ?? new MemoryDisk(clock);
  const lost: number[] = [];
  const damaged: string[] = [];
  const failed: unknown[] = [];
  const reports = {
    failed: (error: unknown) => void failed.push(error),
    lost: (records: number) => void lost.push(records),
    damaged: (file: string) => void damaged.push(file),
  };
  const options = {
    ...{ node: 'n1', hasData: false },
    ...{ fileBytesMax: given.fileBytesMax ?? 1_000_000, filesMax: given.filesMax ?? 100 },
  };
  const open = () => time.until(AuditLog.open(options, { disk, clock, reports }));
  return {
    time,
    disk,
    lost,
    failed,
    damaged,
    open,
    read: (log: AuditLog, filter = ALL) => time.until(all(log, filter)),
  };
}

async function all(log: AuditLog, filter: AuditFilter): Promise<AuditRecord[]> {
  const found: AuditRecord[] = [];
  for await (const record of log.read(filter)) found.push(record);
  return found;
}

const trailOf = async (disk: Disk) => (await disk.list(AUDIT_FOLDER)).filter(isTrail);

async function check(disk: Disk) {
  const checker = new TrailChecker();
  for (const name of await trailOf(disk)) {
    let line = 0;
    for await (const text of linesOf(disk, `${AUDIT_FOLDER}/${name}`))
      checker.add(text, name, ++line);
  }
  return checker.result();
}

describe('the trail', () => {
  it('has what was noted, in order, over restarts and files, and is whole', async () => {
    const { time, disk, open, read } = setUp({ fileBytesMax: 2_000 });
    for (let life = 0; life < 3; life++) {
      const log = await open();
      for (let i = 0; i < 20; i++) {
        log.note(event(life * 20 + i));
        if (i % 3 === 0) await time.pass(150);
      }
      await time.until(log.close());
    }
    const log = await open();
    const records = await read(log);
    expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    expect(records.map(({ requestId }) => requestId)).toEqual(records.map((_, i) => `r-${i}`));
    expect((await trailOf(disk)).length).toBeGreaterThan(3);
    expect(await check(disk)).toMatchObject({ records: 60, firstSeq: 1, lastSeq: 60, fault: null });
  });

  it('is on disk a tenth of a second later, without anybody asking', async () => {
    const { time, disk, open } = setUp();
    const log = await open();
    log.note(event(1));
    await time.pass(120);
    expect((await check(disk)).records).toBe(1);
  });

  it('keeps as many files as it may; what is left is whole', async () => {
    const { time, disk, open } = setUp({ fileBytesMax: 1_000, filesMax: 3 });
    const log = await open();
    for (let i = 0; i < 60; i++) {
      log.note(event(i));
      await time.pass(150);
    }
    const names = await trailOf(disk);
    expect(names).toHaveLength(3);
    const { firstSeq, lastSeq, fault } = await check(disk);
    expect([firstSeq, lastSeq, fault]).toEqual([Number.parseInt(names[0] as string, 10), 60, null]);
  });

  it('is read by time, by who, by action and by refusal', async () => {
    const { time, open, read } = setUp();
    const log = await open();
    log.note(event(1, { who: 'key:a', action: 'admin:read' }));
    await time.pass(5_000);
    const [first] = await read(log);
    log.note(event(2, { who: 'nobody', action: 'data:write', status: 401 }));
    log.note(event(3, { who: 'key:a', action: 's3:PutBucketPolicy', status: 403 }));
    const ids = async (filter: Partial<AuditFilter>) =>
      (await read(log, { ...ALL, ...filter })).map(({ requestId }) => requestId);
    const betweenMs = Date.parse((first as AuditRecord).at) + 1_000;
    expect(await ids({ sinceMs: betweenMs })).toEqual(['r-2', 'r-3']);
    expect(await ids({ untilMs: betweenMs })).toEqual(['r-1']);
    expect(await ids({ who: 'key:a' })).toEqual(['r-1', 'r-3']);
    expect(await ids({ action: 's3:Put' })).toEqual(['r-3']);
    expect(await ids({ denied: true })).toEqual(['r-2', 'r-3']);
    expect(await ids({ denied: true, who: 'key:a' })).toEqual(['r-3']);
  });

  it('a line that was cut off by the end of the process is cut off; what follows goes on from the line before', async () => {
    const { time, disk, open } = setUp();
    let log = await open();
    for (let i = 0; i < 5; i++) log.note(event(i));
    await time.until(log.close());
    const [name] = await trailOf(disk);
    const path = `${AUDIT_FOLDER}/${name}`;
    const whole = (await disk.readFile(path)) as Uint8Array;
    for (const cut of [1, 30, 64, 70]) {
      const file = await disk.open(path);
      await file.truncate(whole.length - cut);
      await file.close();
      log = await open();
      log.note(event(9));
      await time.until(log.close());
      expect(await check(disk)).toMatchObject({ records: 5, lastSeq: 5, fault: null });
    }
  });

  it('the torn only line of a new file is gone, and the chain goes on from the file before', async () => {
    const { time, disk, open } = setUp({ fileBytesMax: 100 });
    let log = await open();
    for (let i = 0; i < 2; i++) {
      log.note(event(i));
      await time.pass(150);
    }
    await time.until(log.close());
    const [, second] = await trailOf(disk);
    const file = await disk.open(`${AUDIT_FOLDER}/${second}`);
    await file.truncate(20);
    await file.close();
    log = await open();
    log.note(event(3));
    await time.until(log.close());
    expect(await check(disk)).toMatchObject({ records: 2, lastSeq: 2, fault: null });
  });

  it('what was changed stays for the check to show; what follows is written all the same', async () => {
    const { time, disk, damaged, open, read } = setUp();
    let log = await open();
    for (let i = 0; i < 5; i++) log.note(event(i));
    await time.until(log.close());
    const [name] = await trailOf(disk);
    const path = `${AUDIT_FOLDER}/${name}`;
    const text = Buffer.from((await disk.readFile(path)) as Uint8Array)
      .toString()
      .replace('keys/2', 'keys/7');
    await disk.writeFileAtomic(path, Buffer.from(text));
    log = await open();
    expect(damaged).toEqual([path]);
    log.note(event(9));
    expect((await read(log)).at(-1)).toMatchObject({ requestId: 'r-9' });
    await time.until(log.close());
    expect((await check(disk)).fault).toMatchObject({ file: name, line: 3 });
  });

  it('a disk that takes nothing for a while costs no record, no file and no number', async () => {
    const { disk, fill } = fillable();
    const { time, lost, failed, open, read } = setUp({ disk, fileBytesMax: 600, filesMax: 3 });
    const log = await open();
    for (let i = 0; i < 4; i++) {
      log.note(event(i));
      await time.pass(150);
    }
    const before = await trailOf(disk);
    fill(true);
    for (let i = 4; i < 12; i++) {
      log.note(event(i));
      await time.pass(5_500);
    }
    expect(failed.length).toBeGreaterThan(3);
    expect((await trailOf(disk)).filter((name) => before.includes(name))).toEqual(before);
    fill(false);
    log.note(event(12));
    await time.pass(6_000);
    const records = await read(log);
    expect(records.map(({ requestId }) => requestId).slice(-10)).toEqual(
      Array.from({ length: 10 }, (_, i) => `r-${i + 3}`),
    );
    expect(lost).toEqual([]);
    expect(await check(disk)).toMatchObject({ lastSeq: 13, fault: null });
  });

  it('half a batch that the disk has taken is cut off before it is written again', async () => {
    const { disk, fill } = fillable(40);
    const { time, open } = setUp({ disk });
    const log = await open();
    log.note(event(1));
    await time.pass(150);
    fill(true);
    log.note(event(2, { resource: 'x'.repeat(300) }));
    await time.pass(150);
    fill(false);
    await time.pass(6_000);
    await time.until(log.close());
    expect(await check(disk)).toMatchObject({ records: 2, lastSeq: 2, fault: null });
  });

  it('what finds no room in memory either is counted, in the trail too, and leaves no gap', async () => {
    const { disk, fill } = fillable();
    const { time, lost, open, read } = setUp({ disk, fileBytesMax: 64_000_000 });
    const log = await open();
    fill(true);
    for (let i = 0; i < 5_000; i++) log.note(event(i, { resource: 'x'.repeat(2_048) }));
    await time.pass(150);
    expect(lost.length).toBeGreaterThan(100);
    fill(false);
    await time.pass(12_000);
    const told = await read(log, { ...ALL, action: 'audit:lost' });
    expect(told.map(({ resource }) => resource)).toEqual([`${lost.length} records`]);
    const { records, lastSeq, fault } = await check(disk);
    expect([records + lost.length, lastSeq, fault]).toEqual([5_001, records, null]);
  });

  it('leaves the room to the log that is kept for it: records wait', async () => {
    const { disk, leave } = fillable();
    const { time, failed, open, read } = setUp({ disk });
    const log = await open();
    leave(LIMITS.diskReserveBytes / 2);
    log.note(event(1));
    await time.pass(150);
    expect(failed).toMatchObject([{ code: 'ENOSPC' }]);
    expect(await trailOf(disk)).toEqual([]);
    leave(LIMITS.diskReserveBytes);
    await time.pass(6_000);
    expect(await read(log)).toMatchObject([{ requestId: 'r-1' }]);
  });

  it('a flood of refused strangers pushes nothing out: they are counted', async () => {
    const { time, disk, open, read } = setUp({ fileBytesMax: 100_000, filesMax: 20 });
    const log = await open();
    log.note(event(0));
    const stranger = { who: 'nobody', status: 401, resource: `GET /${'x'.repeat(2_000)}` };
    for (let second = 0; second < 100; second++) {
      for (let i = 0; i < 500; i++) log.note(event(i, stranger));
      await time.pass(1_000);
    }
    expect((await read(log))[0]).toMatchObject({ requestId: 'r-0' });
    await time.pass(12_000);
    const kept = (await read(log, { ...ALL, who: 'nobody' })).length;
    const skipped = (await read(log, { ...ALL, action: 'audit:skipped' })).map(({ resource }) =>
      Number.parseInt(resource, 10),
    );
    expect(kept).toBeLessThan(4_000);
    expect(skipped.length).toBeGreaterThan(5);
    expect(kept + skipped.reduce((a, b) => a + b, 0)).toBe(50_000);
    // Who is known is written down whole, meanwhile too.
    for (let i = 0; i < 3_000; i++) log.note(event(i, { who: 'key:a', status: 403 }));
    expect(await read(log, { ...ALL, who: 'key:a' })).toHaveLength(3_000);
    expect((await check(disk)).fault).toBeNull();
  });
});

/** A disk in memory that takes nothing while it is filled, but for the first `bytes` of each write. */
function fillable(bytes = 0) {
  const real = new MemoryDisk({ soon: (run) => queueMicrotask(run) });
  let isFull = false;
  let freeBytes = Number.MAX_SAFE_INTEGER;
  const disk = new Proxy(real, {
    get: (target, name: keyof Disk) => {
      if (name === 'freeBytes') return async () => freeBytes;
      if (name !== 'open') return Reflect.get(target, name)?.bind(target);
      return async (path: string) => {
        const file = await target.open(path);
        return new Proxy(file, {
          get: (inner, what: keyof typeof file) => {
            if (what !== 'write') return Reflect.get(inner, what)?.bind(inner);
            return async (offset: number, all: Uint8Array) => {
              await inner.write(offset, isFull ? all.subarray(0, bytes) : all);
              if (isFull) throw new DiskError('ENOSPC', 'full');
            };
          },
        });
      };
    },
  }) as Disk;
  return {
    disk,
    leave: (left: number) => {
      freeBytes = left;
    },
    fill: (full: boolean) => {
      isFull = full;
    },
  };
}

describe('the chain', () => {
  const lines = (() => {
    let prev = NO_HASH;
    return Array.from({ length: 8 }, (_, i) => {
      const at = '2026-01-01T00:00:00.000Z';
      const made = sealed({ seq: i + 1, at, node: 'n1', ...event(i) }, prev);
      prev = made.hash;
      return made.line.trimEnd();
    });
  })();
  const faultOf = (given: readonly string[]) => {
    const checker = new TrailChecker();
    for (const [i, text] of given.entries()) checker.add(text, 'f', i + 1);
    return checker.result().fault;
  };

  it('shows any byte that was changed', () => {
    expect(faultOf(lines)).toBeNull();
    fc.assert(
      fc.property(
        fc.nat(7),
        fc.nat(10_000),
        fc.integer({ min: 32, max: 126 }),
        (line, at, code) => {
          const text = lines[line] as string;
          const place = at % text.length;
          const changed = text.slice(0, place) + String.fromCharCode(code) + text.slice(place + 1);
          fc.pre(changed !== text);
          const given =
            lines.with?.(line, changed) ?? lines.map((one, i) => (i === line ? changed : one));
          expect(faultOf(given)).not.toBeNull();
        },
      ),
    );
  });

  it('shows any line that was left out, put in or moved, unless it is the first or the last', () => {
    for (let i = 1; i < lines.length - 1; i++) {
      expect(faultOf(lines.filter((_, at) => at !== i))).not.toBeNull();
      expect(faultOf([...lines.slice(0, i), lines[i] as string, ...lines.slice(i)])).not.toBeNull();
    }
    const swapped = [...lines];
    [swapped[2], swapped[3]] = [lines[3] as string, lines[2] as string];
    expect(faultOf(swapped)).not.toBeNull();
  });
});
