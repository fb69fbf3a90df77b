import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort, testNats } from '../kit/nats-server.ts';
import { sleep, until } from '../kit/wait.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Command {
  readonly child: ChildProcess;
  output(): string;
  /** The exit code; null after a signal. */
  readonly exit: Promise<number | null>;
}

function run(...args: string[]): Command {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  }
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  cleanups.push(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  return { child, output: () => output, exit };
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'minikv-cluster-'));
  cleanups.push(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A cluster of one node, and the process ids that it told. */
async function cluster(): Promise<{ command: Command; nats: number; node: number }> {
  const ports = ['--base-port', `${await freePort()}`, '--nats-port', `${await freePort()}`];
  const flags = ['--nodes', '1', '--groups', '1', '--ephemeral', '--data', folder()];
  const command = run('cluster', ...ports, ...flags);
  await until(() => command.output().includes('n1 | ready'), 'a ready node', 30_000);
  const pid = (pattern: RegExp): number => Number(pattern.exec(command.output())?.[1]);
  return { command, nats: pid(/nats-server at .*, pid (\d+)/), node: pid(/n1 at .*, pid (\d+)/) };
}

describe('a node whose NATS is not there', () => {
  it('keeps trying with few words, joins when it comes, and ends in order', async () => {
    const natsPort = await freePort();
    const flags = ['--ephemeral', '--groups', '1', '--port', '0'];
    const node = run('serve', '--nats', `nats://127.0.0.1:${natsPort}`, ...flags);
    await until(() => node.output().includes('cannot connect'), 'the first attempt', 30_000);
    await sleep(4_000);
    expect(node.child.exitCode, node.output()).toBeNull();
    expect(node.output().match(/cannot connect to NATS/g), node.output()).toHaveLength(1);
    expect(node.output()).toContain(`127.0.0.1:${natsPort}`);
    expect(node.output()).not.toContain('"stack"');
    const nats = await testNats({}, natsPort);
    cleanups.push(() => nats.dispose());
    await until(() => node.output().includes('"state":"connected"'), 'the connection', 10_000);
    node.child.kill('SIGINT');
    expect(await node.exit, node.output()).toBe(0);
  }, 60_000);

  it('ends in order on Ctrl-C also while it is tried', async () => {
    const nats = `nats://127.0.0.1:${await freePort()}`;
    const node = run('serve', '--ephemeral', '--port', '0', '--nats', nats);
    await until(() => node.output().includes('cannot connect'), 'the first attempt', 30_000);
    node.child.kill('SIGINT');
    expect(await node.exit, node.output()).toBe(0);
  }, 60_000);
});

describe('minikv cluster', () => {
  it('starts nothing where a port is taken, and names the process that has it', async () => {
    const [basePort, natsPort] = [await freePort(), await freePort()];
    const command = () =>
      run('cluster', '--base-port', `${basePort}`, '--nats-port', `${natsPort}`, '--nodes', '1');
    for (const taken of [natsPort, basePort]) {
      const other = createServer().listen(taken, '127.0.0.1');
      await new Promise((resolve) => other.once('listening', resolve));
      const refused = command();
      expect(await refused.exit).toBe(1);
      await new Promise((resolve) => other.close(resolve));
      expect(refused.output()).toMatch(new RegExp(`^error: port ${taken}, .* is in use`));
      expect(refused.output().trim().split('\n')).toHaveLength(1);
      if (process.platform === 'linux') expect(refused.output()).toContain(`pid ${process.pid}`);
    }
  }, 60_000);

  it('stops all when its nats-server ends, and shows why', async () => {
    const { command, nats, node } = await cluster();
    process.kill(nats, 'SIGTERM');
    expect(await command.exit, command.output()).toBe(1);
    expect(command.output()).toMatch(/nats-server, pid \d+, has ended by itself; stopping all/);
    expect(command.output()).toMatch(/Trapped .* signal|Initiating Shutdown/i);
    expect(isAlive(node)).toBe(false);
  }, 60_000);

  it('leaves neither nodes nor nats-server behind when it is killed', async () => {
    const { command, nats, node } = await cluster();
    command.child.kill('SIGKILL');
    await until(() => !isAlive(nats) && !isAlive(node), 'the end of all', 20_000);
  }, 60_000);

  it('says how a node that ended is brought back', async () => {
    const { command, node } = await cluster();
    process.kill(node, 'SIGKILL');
    await until(() => command.output().includes('bring it back'), 'the hint');
    expect(command.output()).toMatch(/npm start -- --node-id n1 .*--nats nats:\S+ --data \S+/);
  }, 60_000);
});
