import type { Command } from 'commander';
import { clientCommand } from './client-command.ts';
import type { Io } from './io.ts';

const commands = () => import('./commands/tenants.ts');

/** `minikv tenants`: of the administrators of the cluster. */
export function addTenantCommands(program: Command, io: Io): void {
  const tenants = program
    .command('tenants')
    .description('Tenants: each has keys, indexes, buckets and credentials of its own');
  const create = clientCommand(tenants, io, 'create', 'Make a tenant');
  create.command.argument('<name>', '1 to 32 small letters, digits and inner dashes');
  create.action(async (context, [name]) => (await commands()).createTenant(context, name!));
  clientCommand(tenants, io, 'list', 'Print all tenants').action(async (context) =>
    (await commands()).listTenants(context),
  );
  for (const [what, description] of [
    ['show', 'Print a tenant, and how far its deletion is'],
    ['suspend', 'Refuse all requests of a tenant, until it is resumed'],
    ['resume', 'Take them again'],
    ['delete', 'End a tenant: none of its credentials is taken, and what it has goes in steps'],
  ] as const) {
    const one = clientCommand(tenants, io, what, description);
    one.command.argument('<name>');
    one.action(async (context, [name]) => (await commands()).changeTenant(context, what, name!));
  }
}
