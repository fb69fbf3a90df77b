import { resolve } from 'node:path';
import type { Telemetry } from '../observability/port.ts';
import type { Clock } from '../protocol/clock.ts';
import { AuditLog, type AuditReports } from '../storage/audit/audit-log.ts';
import { MemoryDisk } from '../storage/disk/memory-disk.ts';
import { NodeDisk } from '../storage/disk/node-disk.ts';
import type { Config } from './config.ts';

const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** Null: nothing is written down of who did what. */
export async function openAudit(
  config: Config,
  { clock, telemetry }: { readonly clock: Clock; readonly telemetry: Telemetry },
): Promise<AuditLog | null> {
  const asked = config.audit === 'auto' ? (config.auth ? 'admin' : 'off') : config.audit;
  if (asked === 'off') return null;
  const disk = config.ephemeral ? new MemoryDisk(clock) : new NodeDisk(resolve(config.data));
  const options = {
    ...{ node: config.nodeId, hasData: asked === 'all' },
    ...{ fileBytesMax: FILE_BYTES_MAX, filesMax: config.auditFilesMax },
  };
  return AuditLog.open(options, { disk, clock, reports: reportsTo(telemetry) });
}

function reportsTo(telemetry: Telemetry): AuditReports {
  return {
    failed: (error) => telemetry.log('error', 'the audit trail could not be written', { error }),
    lost: (records) => telemetry.count('audit_records_lost', records),
    damaged: (file) =>
      telemetry.log('error', 'the audit trail was changed: a new chain begins behind it', { file }),
  };
}
