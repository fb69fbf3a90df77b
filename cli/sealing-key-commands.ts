import type { Command } from 'commander';
import { clientCommand } from './client-command.ts';
import type { Io } from './io.ts';

const commands = () => import('./commands/sealing-keys.ts');

/** `minikv data-keys`: the keys of encrypted data folders. */
export function addDataKeyCommands(program: Command, io: Io): void {
  const keys = program
    .command('data-keys')
    .description('Keys of encrypted data folders: of all nodes, or those of --node');
  const show = clientCommand(keys, io, 'show', 'Print the data keys, and how far a rotation is');
  const rotate = clientCommand(keys, io, 'rotate', 'Begin a new data key, and seal all with it');
  const reload = clientCommand(
    keys,
    io,
    'reload-root-key',
    'Read the root key again from its file or command, and use the first one there',
  );
  for (const { command } of [show, rotate, reload]) {
    command.option('--node <name,...>', 'Only these nodes');
  }
  rotate.command
    .option('--wait', 'Until nothing is sealed under an older key')
    .option('--progress', 'With --wait: show progress although standard error is no terminal')
    .option('--no-progress', 'Show none');
  rotate.command.setOptionValue('progress', undefined);
  show.action(async (context, _, flags) => (await commands()).showDataKeys(context, flags));
  rotate.action(async (context, _, flags) => (await commands()).rotateDataKeys(context, flags));
  reload.action(async (context, _, flags) => (await commands()).reloadRootKey(context, flags));
}
