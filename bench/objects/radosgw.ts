import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../test/kit/nats-server.ts';
import { isListening } from '../peers/bare.ts';
import { findBinary, versionOf } from '../system/binaries.ts';
import { ServerProcess } from '../system/server-process.ts';
import type { S3Server } from './servers.ts';

/** All that one node of Ceph needs: `apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common`. */
const PROGRAMS = ['ceph', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin'];
const STEP_MS_MAX = 60_000;
const ACCESS_KEY = 'benchkey';
const SECRET_KEY = 'benchsecret';
const BLOCK_BYTES = 24 * 1024 ** 3;

/** Null where it is not installed. */
export function radosgwVersion(): string | null {
  const files = PROGRAMS.map(findBinary);
  return files.includes(null) ? null : versionOf(files[4] as string);
}

/**
 * radosgw over one monitor and one OSD (BlueStore in a file on the same disk), pools of one copy and no signatures between
 * its processes: as little as it can do while every write is on disk when it is answered.
 */
export async function startRadosgw(folder: string): Promise<S3Server> {
  for (const part of ['mon', 'osd', 'rgw', 'run'])
    mkdirSync(join(folder, part), { recursive: true });
  const fsid = randomUUID();
  const monitor = `[v2:127.0.0.1:${await freePort()},v1:127.0.0.1:${await freePort()}]`;
  const port = await freePort();
  const config = join(folder, 'ceph.conf');
  writeFileSync(config, configOf(folder, { fsid, monitor, port }));
  const run = (program: string, ...args: string[]): string =>
    step(program, ['-c', config, ...args]);
  const map = join(folder, 'monmap');
  run('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', monitor, map);
  run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map);
  const servers: ServerProcess[] = [];
  const start = (program: string, ...args: string[]): ServerProcess => {
    const server = new ServerProcess(findBinary(program) as string, ['-c', config, ...args, '-f']);
    servers.push(server);
    return server;
  };
  const isUp = async (): Promise<boolean> => run('ceph', 'osd', 'stat').includes('1 up');
  await start('ceph-mon', '-i', 'a').until(async () => run('ceph', '-s') !== '', STEP_MS_MAX, 500);
  const disk = randomUUID();
  run('ceph', 'osd', 'new', disk, '0');
  run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', disk);
  await start('ceph-osd', '-i', '0').until(isUp, STEP_MS_MAX, 500);
  run('ceph', 'osd', 'crush', 'set', '0', '1.0', 'root=default', 'host=localhost');
  await start('radosgw', '-n', 'client.admin').until(() => isListening(port), STEP_MS_MAX, 500);
  const keys = ['--access-key', ACCESS_KEY, '--secret-key', SECRET_KEY];
  run('radosgw-admin', 'user', 'create', '--uid', 'bench', '--display-name', 'bench', ...keys);
  return {
    name: 'radosgw',
    target: {
      ...{ host: '127.0.0.1', port, region: 'default' },
      ...{ accessKey: ACCESS_KEY, secretKey: SECRET_KEY },
    },
    pids: () => servers.map(({ pid }) => pid),
    stop: async () => {
      for (const server of servers.reverse()) await server.stop('SIGKILL');
    },
  };
}

function step(program: string, args: readonly string[]): string {
  const options = { encoding: 'utf8', timeout: STEP_MS_MAX } as const;
  const { status, stdout, stderr } = spawnSync(findBinary(program) as string, args, options);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

function configOf(
  folder: string,
  { fsid, monitor, port }: { fsid: string; monitor: string; port: number },
): string {
  return `[global]
fsid = ${fsid}
mon_host = ${monitor}
mon_initial_members = a
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
run_dir = ${folder}/run
admin_socket = ${folder}/run/$name.asok
log_file = ${folder}/run/$name.log
pid_file = ${folder}/run/$name.pid
debug_rgw = 0
[mon.a]
mon_data = ${folder}/mon
mon_data_avail_crit = 1
[osd.0]
osd_data = ${folder}/osd
osd_objectstore = bluestore
bluestore_block_size = ${BLOCK_BYTES}
bluestore_block_create = true
[client.admin]
rgw_frontends = beast endpoint=127.0.0.1:${port}
rgw_data = ${folder}/rgw
rgw_enable_ops_log = false
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 10
rgw_gc_processor_max_time = 10
`;
}
