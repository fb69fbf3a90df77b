/**
 * `npm start -- <flags>` on a fresh clone: installs and builds what is missing or old, then becomes
 * `node dist/cli/main.js <command> <flags>`. Plain JavaScript on Node's own modules only, because it runs
 * before anything is installed. `--install` only installs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NODE_MIN = [20, 19];
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');
/** The program, and the client library with its types. */
const PROJECTS = ['tsconfig.build.json', 'tsconfig.client.json'];
/** Written after a build: its time is the build's, its content the number of sources. */
const STAMP = join(ROOT, 'dist', '.built');

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  fail(`minikv needs Node.js ${NODE_MIN.join('.')} or newer; this is ${process.versions.node}.
Get one from https://nodejs.org, or with a version manager: nvm install 20`);
}

/** npm writes its own lock file into node_modules last: older than ours means not up to date. */
function installIfNeeded() {
  const installed = timeOf(join(ROOT, 'node_modules', '.package-lock.json'));
  if (installed >= timeOf(join(ROOT, 'package-lock.json'))) return;
  console.error('Installing dependencies ...');
  // No install scripts: every package ships its binaries. The compiler is a development dependency.
  const flags = [
    '--include=dev',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  const windows = process.platform === 'win32';
  const done = spawnSync(windows ? 'npm.cmd' : 'npm', ['ci', ...flags], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
    shell: windows,
  });
  if (done.error) fail(`npm could not be run: ${done.error.message}`);
  if (done.status !== 0) fail('npm ci failed, see above. Is the package registry reachable?');
}

function buildIfNeeded() {
  const settings = ['package.json', 'tsconfig.json', ...PROJECTS];
  const sources = [...PROJECTS.flatMap(sourceFiles), ...settings];
  const newest = Math.max(...sources.map((file) => timeOf(join(ROOT, file))));
  const builtFrom = existsSync(STAMP) ? readFileSync(STAMP, 'utf8') : '';
  const current = builtFrom === String(sources.length) && timeOf(STAMP) > newest;
  if (current && existsSync(MAIN)) return;
  console.error('Building ...');
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  for (const project of PROJECTS) {
    const built = spawnSync(process.execPath, [compiler, '-p', project], {
      cwd: ROOT,
      stdio: ['ignore', 2, 2],
    });
    if (built.status !== 0) fail('The build failed, see above.');
  }
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  writeFileSync(STAMP, String(sources.length));
}

/** The files that a project includes, relative to the root. */
function sourceFiles(project) {
  const { include } = JSON.parse(readFileSync(join(ROOT, project), 'utf8'));
  return include
    .filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => join(folder, name)),
    );
}

/** Unix ms of the last change; -1 for what is not there. */
function timeOf(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -1;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

checkNode();
installIfNeeded();
// For scripts that run a tool on the sources, which need not compile.
if (process.argv[2] === '--install') process.exit(0);
buildIfNeeded();
// The same process goes on: no second one to hand signals and exit codes through.
const [command = 'serve', ...flags] = process.argv.slice(2);
process.argv = [process.execPath, MAIN, command, ...flags];
await import(pathToFileURL(MAIN).href);
