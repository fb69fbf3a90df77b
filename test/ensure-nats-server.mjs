// Run before the tests on a fresh machine: makes sure that nats-server is there, with the system's package
// manager where it is not. Exits non-zero, and says what to do, when that is not possible.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

function find(program) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  folders.push('/usr/sbin', '/usr/local/bin', '/usr/bin', '/opt/homebrew/bin', '/snap/bin');
  for (const folder of folders) {
    if (folder === '') continue;
    try {
      accessSync(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** Package managers, in the order they are tried; each row is a list of commands. */
const MANAGERS = [
  [
    'apt-get',
    [
      ['apt-get', 'update'],
      ['apt-get', 'install', '-y', 'nats-server'],
    ],
  ],
  ['dnf', [['dnf', 'install', '-y', 'nats-server']]],
  ['pacman', [['pacman', '-Sy', '--noconfirm', 'nats-server']]],
  ['apk', [['apk', 'add', 'nats-server']]],
  ['brew', [['brew', 'install', 'nats-server']]],
];

function run(command) {
  const asRoot = process.getuid?.() === 0 || command[0] === 'brew';
  const line = asRoot ? command : ['sudo', '-n', ...command];
  console.log(`> ${line.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const result = spawnSync(line[0], line.slice(1), { stdio: 'inherit', env });
  return result.status === 0;
}

function install() {
  for (const [program, commands] of MANAGERS) {
    if (find(program) === null) continue;
    console.log(`nats-server is missing; installing it with ${program}`);
    if (commands.every(run)) return;
  }
}

let found = find('nats-server');
if (found === null) {
  install();
  found = find('nats-server');
}
if (found === null) {
  console.error(
    'nats-server could not be installed. The tests over NATS need it: install the package `nats-server`\n' +
      'of your system, or put the binary from https://github.com/nats-io/nats-server/releases on PATH.',
  );
  process.exit(1);
}
const version = spawnSync(found, ['--version'], { encoding: 'utf8' });
console.log(`${found}: ${version.stdout.trim()}`);
process.exit(version.status === 0 ? 0 : 1);
