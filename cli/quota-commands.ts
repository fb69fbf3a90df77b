import type { Command } from 'commander';
import { clientCommand } from './client-command.ts';
import type { Io } from './io.ts';

const commands = () => import('./commands/quotas.ts');
const SCOPE =
  'tenant:<name>, bucket:<name>, bucket:<tenant>/<name> or prefix:<tenant>/<key prefix>';

/** `minikv quotas`: how much may be stored under a name. */
export function addQuotaCommands(program: Command, io: Io): void {
  const quotas = program.command('quotas').description('Quotas of stored bytes, keys and objects');
  clientCommand(quotas, io, 'list', 'Print all quotas, with what is stored').action(
    async (context) => (await commands()).listQuotas(context),
  );
  const show = clientCommand(quotas, io, 'show', 'Print the quota of one scope');
  show.command.argument('<scope>', SCOPE);
  show.action(async (context, [scope]) => (await commands()).showQuota(context, scope!));
  const set = clientCommand(quotas, io, 'set', 'Set the quota of one scope, all of it');
  set.command
    .argument('<scope>', SCOPE)
    .option('--bytes <number>', 'Names and values of keys, all versions and parts of objects')
    .option('--keys <number>', 'Keys')
    .option('--objects <number>', 'Versions of objects');
  set.action(async (context, [scope], flags) =>
    (await commands()).setQuota(context, scope!, flags),
  );
  const end = clientCommand(quotas, io, 'delete', 'Take a quota away');
  end.command.argument('<scope>', SCOPE);
  end.action(async (context, [scope]) => (await commands()).deleteQuota(context, scope!));
}
