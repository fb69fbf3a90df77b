import type { Command } from 'commander';
import { clientCommand } from './client-command.ts';
import type { Io } from './io.ts';

const commands = () => import('./commands/roles.ts');

const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];

/** `minikv roles`: what keys and users may do. */
export function addRoleCommands(program: Command, io: Io): void {
  const roles = program.command('roles').description('Roles of one’s own: what keys may do');
  clientCommand(roles, io, 'list', 'Print all roles, built in or made').action(async (context) =>
    (await commands()).listRoles(context),
  );
  const show = clientCommand(roles, io, 'show', 'Print a role with its rules, as JSON');
  show.command.argument('<name>');
  show.action(async (context, [name]) => (await commands()).showRole(context, name!));
  const put = clientCommand(roles, io, 'put', 'Make a role, or replace its rules');
  put.command
    .argument('<name>')
    .option('--allow <actions>', 'One rule that allows these: data:read,data:write or data:*')
    .option('--deny <actions>', 'One that denies them there')
    .option('--keys <prefix>', 'of keys that begin so; may be repeated', several, [])
    .option('--bucket <bucket[/prefix]>', 'of a bucket, or its objects that begin so', several, [])
    .option('--buckets <prefix>', 'of buckets whose names begin so', several, [])
    .option('--cluster', 'of the cluster')
    .option('--description <text>', 'What it is for')
    .option(
      '--file <file>',
      'A document {description, rules} in place of these; - is standard input',
    );
  put.action(async (context, [name], flags) => (await commands()).putRole(context, name!, flags));
  const end = clientCommand(roles, io, 'delete', 'Delete a role: its keys may nothing any more');
  end.command.argument('<name>');
  end.action(async (context, [name]) => (await commands()).deleteRole(context, name!));
}
