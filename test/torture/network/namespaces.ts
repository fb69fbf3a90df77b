import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Marks the process that runs inside the namespaces, so that it does not enter them again. */
const INSIDE = 'TORTURE_NAMESPACES';

export interface Entry {
  /** What to put before a command so that it runs in namespaces of its own; null where none can be had. */
  readonly prefix: readonly string[] | null;
  /** Why not. */
  readonly reason: string;
}

export function isInside(): boolean {
  return process.env[INSIDE] === '1';
}

export function insideEnv(): Record<string, string | undefined> {
  return { ...process.env, [INSIDE]: '1' };
}

/**
 * How to get network, mount and process namespaces: as root directly, else with a user namespace. The
 * process namespace ends everything in it with its first process, whatever happens to the run.
 */
export function findEntry(): Entry {
  for (const program of ['unshare', 'ip', 'nft']) {
    if (!isThere(program)) return { prefix: null, reason: `${program} is not installed` };
  }
  const flags = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const isRoot = process.getuid?.() === 0;
  const own = isRoot ? [] : ['--user', '--map-root-user'];
  const prefix = ['unshare', ...own, ...flags];
  const tried = run([...prefix, 'sh', '-c', 'mount -t tmpfs t /run && ip netns add probe']);
  if (tried.status === 0) return { prefix, reason: '' };
  const said = (tried.stderr ?? '').trim().split('\n')[0] ?? '';
  return { prefix: null, reason: `namespaces are not allowed here (${said})` };
}

/** Hosts with a bridge between them; the first process of the namespaces sits on the bridge too. */
export class NamespaceHosts {
  readonly kind = 'namespaces';
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
    must(['mount', '-t', 'tmpfs', 't', '/run']);
    must(['ip', 'link', 'set', 'lo', 'up']);
    must(['ip', 'link', 'add', 'br0', 'type', 'bridge']);
    must(['ip', 'address', 'add', `${this.hub}/24`, 'dev', 'br0']);
    must(['ip', 'link', 'set', 'br0', 'up']);
    for (let host = 0; host < count; host++) this.#add(host);
  }

  readonly hub = '10.77.0.254';

  address(host: number): string {
    return `10.77.0.${host + 1}`;
  }

  /** The command that runs `command` on a host; it becomes the command, with the same pid. */
  on(host: number, command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', `h${host}`, ...command];
  }

  /** Nothing from `from` reaches `to` any more; the other direction is not touched. */
  cut(from: number, to: number): void {
    this.#element('add', 'cut', from, to);
  }

  /** Three of ten packets from `from` do not reach `to`. */
  lose(from: number, to: number): void {
    this.#element('add', 'lossy', from, to);
  }

  heal(): void {
    const flush = 'flush set inet torture cut\nflush set inet torture lossy\n';
    for (let host = 0; host < this.#count; host++) must(this.on(host, ['nft', '-f', '-']), flush);
  }

  #element(verb: 'add', set: string, from: number, to: number): void {
    const element = `{ ${this.address(from)} }`;
    must(this.on(to, ['nft', verb, 'element', 'inet', 'torture', set, element]));
  }

  #add(host: number): void {
    must(['ip', 'netns', 'add', `h${host}`]);
    must(['ip', 'link', 'add', `v${host}`, 'type', 'veth', 'peer', 'eth0', 'netns', `h${host}`]);
    must(['ip', 'link', 'set', `v${host}`, 'master', 'br0', 'up']);
    const at = ['ip', '-n', `h${host}`];
    must([...at, 'address', 'add', `${this.address(host)}/24`, 'dev', 'eth0']);
    must([...at, 'link', 'set', 'eth0', 'up']);
    must([...at, 'link', 'set', 'lo', 'up']);
    must(this.on(host, ['nft', '-f', '-']), RULES);
  }
}

const RULES = `table inet torture {
  set cut { type ipv4_addr; }
  set lossy { type ipv4_addr; }
  chain input {
    type filter hook input priority 0; policy accept;
    ip saddr @cut drop
    ip saddr @lossy numgen random mod 100 < 30 drop
  }
}
`;

/** Long, as a machine may be busy: a fault that cannot be taken away ends the run. */
const COMMAND_MS_MAX = 60_000;

function isThere(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter).concat('/usr/sbin', '/sbin');
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function run(command: readonly string[], input = ''): SpawnSyncReturns<string> {
  const [program = '', ...args] = command;
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  return spawnSync(program, args, { encoding: 'utf8', input, env, timeout: COMMAND_MS_MAX });
}

function must(command: readonly string[], input = ''): void {
  const { status, error, stderr } = run(command, input);
  if (status === 0) return;
  throw new Error(`${command.join(' ')}: ${error?.message ?? stderr}`);
}
