import { area, each } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';

interface BadName {
  readonly name: string;
  readonly why: string;
}

const BAD: readonly BadName[] = [
  { name: 'ab', why: 'two characters' },
  { name: 'a'.repeat(64), why: '64 characters' },
  { name: 'a'.repeat(255), why: '255 characters' },
  { name: 'Upper-case', why: 'an upper-case letter' },
  { name: 'under_score', why: 'an underscore' },
  { name: '-starts', why: 'a hyphen first' },
  { name: 'ends-', why: 'a hyphen last' },
  { name: '.starts', why: 'a dot first' },
  { name: 'ends.', why: 'a dot last' },
  { name: 'two..dots', why: 'two dots beside each other' },
  { name: '192.168.5.4', why: 'the form of an IP address' },
  { name: 'xn--name', why: 'the prefix xn--' },
  { name: 'name-s3alias', why: 'the suffix -s3alias' },
  { name: 'name--ol-s3', why: 'the suffix --ol-s3' },
  { name: 'sp%20ace', why: 'a space' },
  { name: 'exclaim%21', why: 'an exclamation mark' },
  { name: 'caf%C3%A9', why: 'a letter beyond ASCII' },
  { name: 'new%0Aline', why: 'a line feed' },
];

const GOOD: readonly ((fresh: string) => string)[] = [
  (fresh) => fresh.padEnd(63, 'x'),
  (fresh) => fresh.padEnd(50, '0'),
  (fresh) => `${fresh}.dotted.name`,
  (fresh) => `0${fresh}`,
  (fresh) => `${fresh}--hyphens`,
  (fresh) => `${fresh}-1.2.3.4`,
];

async function takesIt(w: World, name: string): Promise<void> {
  isStatus(await w.raw('PUT', `/${name}`), 200);
  isStatus(await w.raw('PUT', `/${name}/k`, { body: 'x' }), 200);
  isStatus(await w.raw('DELETE', `/${name}/k`), 204);
  isStatus(await w.raw('DELETE', `/${name}`), 204);
}

/** Which names a bucket may have. */
export const bucketNames = area('bucket names', {
  ...each(
    BAD,
    ({ why }) => `refused: ${why}`,
    async (w, { name }) => isRefused(await w.raw('PUT', `/${name}`), 400, 'InvalidBucketName'),
  ),
  ...each(
    GOOD,
    (make) => `taken: ${make('name')}`,
    (w, make) => takesIt(w, make(w.name())),
  ),
  'a name that no bucket can have is not found by GET': async (w) => {
    isRefused(await w.raw('GET', '/No_Such_Name'), 400, 'InvalidBucketName');
  },
});
