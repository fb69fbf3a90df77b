import type { Command } from 'commander';
import { clientCommand } from './client-command.ts';
import type { Io } from './io.ts';

/** `minikv audit`: who did what. */
export function addAuditCommands(program: Command, io: Io): void {
  const audit = program.command('audit').description('Who did what: the audit trail of a node');
  audit
    .command('verify')
    .description('Check that the trail in a data folder is as it was written')
    .argument('<data>', 'The data folder of a node')
    .option('--json', 'Print JSON')
    .action(async (data: string, flags) => {
      const { verifyAudit } = await import('./commands/audit.ts');
      await verifyAudit(io, data, flags.json === true);
    });
  const show = clientCommand(audit, io, 'show', 'Print records of the node that answers, as JSON');
  show.command
    .option('--since <time>', 'From then on, as 2026-01-31T12:00:00Z')
    .option('--until <time>', 'Before')
    .option('--who <who>', 'admin, key:<id>, issuer:<subject>, s3:<user>, nobody')
    .option('--action <action>', 'Actions that begin so')
    .option('--denied', 'Only what was answered with 401 or 403')
    .option('--limit <count>', 'At most so many');
  show.action(async (context, _args, flags) =>
    (await import('./commands/audit.ts')).showAudit(context, flags),
  );
}
