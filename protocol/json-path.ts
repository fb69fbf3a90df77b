import { AppError } from './errors.ts';
import { PATH_STEP_MAX, PATH_STEPS_MAX } from './indexes.ts';

/** A step into a value: a member's name (an array's index), or null for every element of an array. */
export type PathStep = string | null;

const NAME = /\.([A-Za-z_\u0080-\uffff][\w\u0080-\uffff-]*)/y;
const QUOTED = /\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]/y;
const INDEX = /\[(0|[1-9][0-9]{0,8})\]/y;
const EVERY = /\[\*\]|\.\*/y;

/**
 * A JSON Pointer (RFC 6901: `/a/0/b`, '' is the whole value) or a JSONPath of names, indexes and
 * wildcards (`$.a[*].b`, `$['a b'][0]`). Throws invalid_argument.
 */
export function parsePath(path: string): PathStep[] {
  const steps = path.startsWith('$') ? jsonPath(path) : jsonPointer(path);
  if (steps.length > PATH_STEPS_MAX) throw invalid(path, `has more than ${PATH_STEPS_MAX} steps`);
  for (const step of steps) {
    if (step !== null && step.length > PATH_STEP_MAX) throw invalid(path, 'has a step too long');
  }
  return steps;
}

function jsonPointer(path: string): PathStep[] {
  if (path === '') return [];
  if (!path.startsWith('/')) throw invalid(path, 'is neither a JSON Pointer nor a JSONPath');
  return path
    .slice(1)
    .split('/')
    .map((token) => {
      if (/~(?![01])/.test(token)) throw invalid(path, 'has a ~ that is neither ~0 nor ~1');
      return token.replaceAll('~1', '/').replaceAll('~0', '~');
    });
}

function jsonPath(path: string): PathStep[] {
  const steps: PathStep[] = [];
  let at = 1;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(path);
    if (found !== null) at = pattern.lastIndex;
    return found;
  };
  while (at < path.length) {
    if (take(EVERY) !== null) {
      steps.push(null);
      continue;
    }
    const found = take(NAME) ?? take(INDEX) ?? take(QUOTED);
    if (found === null) throw invalid(path, `cannot be read from character ${at} on`);
    steps.push((found[1] ?? found[2] ?? '').replaceAll(/\\(.)/g, '$1'));
  }
  return steps;
}

function invalid(path: string, why: string): AppError {
  return new AppError('invalid_argument', `path ${JSON.stringify(path.slice(0, 100))} ${why}`);
}
