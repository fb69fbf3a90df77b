import type { Command } from 'commander';
import { clientCommand } from './client-command.ts';
import type { Io } from './io.ts';

const commands = () => import('./commands/limits.ts');
const SCOPE =
  'key:<id>, s3-user:<name>, s3-account, tenant:<name>, bucket:<name>, prefix:<tenant>/<key prefix>, default or anonymous';

/** `minikv limits`: how much somebody may ask of the cluster. */
export function addLimitCommands(program: Command, io: Io): void {
  const limits = program.command('limits').description('Limits of rates, of the whole cluster');
  clientCommand(limits, io, 'list', 'Print all limits').action(async (context) =>
    (await commands()).listLimits(context),
  );
  const show = clientCommand(limits, io, 'show', 'Print the limit of one scope');
  show.command.argument('<scope>', SCOPE);
  show.action(async (context, [scope]) => (await commands()).showLimit(context, scope!));
  const set = clientCommand(limits, io, 'set', 'Set the limit of one scope, all of it');
  set.command
    .argument('<scope>', SCOPE)
    .option('--requests <number>', 'Requests per second')
    .option('--burst <number>', 'Requests at once after a pause; else those of one second')
    .option('--bytes-in <number>', 'Bytes of bodies per second')
    .option('--bytes-out <number>', 'Bytes of answers per second')
    .option('--watchers <number>', 'Watches that are open at one time');
  set.action(async (context, [scope], flags) =>
    (await commands()).setLimit(context, scope!, flags),
  );
  const end = clientCommand(limits, io, 'delete', 'Take a limit away');
  end.command.argument('<scope>', SCOPE);
  end.action(async (context, [scope]) => (await commands()).deleteLimit(context, scope!));
}
