import { resolve } from 'node:path';
import { checkTrail } from '../../storage/audit/check-trail.ts';
import { NodeDisk } from '../../storage/disk/node-disk.ts';
import { CommandFailed } from '../failures.ts';
import type { Io } from '../io.ts';
import { type Context, printJson } from './context.ts';

/** `minikv audit verify <data>`: whether the trail in a data folder is as it was written. The node may run. */
export async function verifyAudit(io: Io, data: string, json: boolean): Promise<void> {
  const disk = new NodeDisk(resolve(data));
  const { files, records, firstSeq, lastSeq, lastHash, fault } = await checkTrail(disk);
  if (files === 0) throw new CommandFailed(`there is no audit trail in ${resolve(data)}`);
  if (json) await printJson(io, { records, firstSeq, lastSeq, lastHash, fault });
  else if (records > 0) {
    await io.out(
      `${records} records, ${firstSeq} to ${lastSeq}, in ${files} files\nlast hash ${lastHash}\n`,
    );
  }
  if (fault === null) return;
  const { file, line, what } = fault;
  throw new CommandFailed(`${file}, line ${line}: ${what}`, { file, line });
}

export interface AuditFlags {
  readonly since?: string;
  readonly until?: string;
  readonly who?: string;
  readonly action?: string;
  readonly denied?: boolean;
  readonly limit?: string;
}

/** `minikv audit show`: records of the node that answers, as lines of JSON. */
export async function showAudit({ io, client }: Context, flags: AuditFlags): Promise<void> {
  const query = new URLSearchParams(
    Object.entries(flags)
      .filter(([name]) => ['since', 'until', 'who', 'action', 'denied', 'limit'].includes(name))
      .map(([name, value]): [string, string] => [name, String(value)]),
  );
  const path = `/admin/audit?${query}`;
  await client.send({ method: 'GET', path, repeatable: true }, async (response) => {
    for await (const chunk of response.body ?? []) await io.out(chunk as Uint8Array);
  });
}
