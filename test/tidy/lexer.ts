/**
 * Just enough of a TypeScript lexer for the checks in this folder: it finds comments, strings,
 * templates and regular expressions, so that what is left can be searched by name and brackets.
 */

export interface Masked {
  /** The text with the content of comments, strings and regular expressions blanked, same length. */
  readonly code: string;
  /** The text with only comments blanked. */
  readonly uncommented: string;
  /** The comments alone, everything else blanked. */
  readonly comments: string;
}

/** A slash after one of these words or signs begins a regular expression, otherwise it divides. */
const BEFORE_REGEX =
  /(?:^|[=(,;:!&|?{}[\]+\-*%<>~^]|\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield))\s*$/;

export function mask(text: string): Masked {
  const code = text.split('');
  const uncommented = text.split('');
  const comments = text.replace(/[^\n]/g, ' ').split('');
  const blank = (target: string[], start: number, end: number): void => {
    for (let i = start; i < end; i++) if (target[i] !== '\n') target[i] = ' ';
  };
  /** One entry per open template: the brace depth inside its current `${`. */
  const templates: number[] = [];
  let at = 0;
  while (at < text.length) {
    const two = text.slice(at, at + 2);
    if (two === '//' || two === '/*') {
      const end = two === '//' ? endOf(text, '\n', at) : endOf(text, '*/', at + 2) + 2;
      for (let i = at; i < end; i++) comments[i] = text[i] as string;
      blank(code, at, end);
      blank(uncommented, at, end);
      at = end;
      continue;
    }
    const char = text[at] as string;
    const depth = templates.length - 1;
    if (char === '{' && depth >= 0) templates[depth] = (templates[depth] as number) + 1;
    if (char === '}' && depth >= 0) templates[depth] = (templates[depth] as number) - 1;
    const isTemplateTail = char === '}' && depth >= 0 && templates[depth] === 0;
    if (isTemplateTail) templates.pop();
    if (char === '`' || isTemplateTail) {
      const { end, opens } = templateEnd(text, at + 1);
      blank(code, at + 1, end);
      if (opens) templates.push(1);
      at = opens ? end + 2 : end + 1;
      continue;
    }
    if (char === "'" || char === '"') {
      const end = quotedEnd(text, at + 1, char);
      blank(code, at + 1, end);
      at = end + 1;
      continue;
    }
    if (char === '/' && BEFORE_REGEX.test(code.slice(Math.max(0, at - 40), at).join(''))) {
      const end = regexEnd(text, at + 1);
      blank(code, at, end);
      at = end;
      continue;
    }
    at++;
  }
  return { code: code.join(''), uncommented: uncommented.join(''), comments: comments.join('') };
}

function endOf(text: string, what: string, from: number): number {
  const found = text.indexOf(what, from);
  return found < 0 ? text.length : found;
}

function quotedEnd(text: string, from: number, quote: string): number {
  let at = from;
  while (at < text.length && text[at] !== quote && text[at] !== '\n')
    at += text[at] === '\\' ? 2 : 1;
  return at;
}

/** Where a template's text ends: at its closing back quote, or at a `${` that opens. */
function templateEnd(text: string, from: number): { end: number; opens: boolean } {
  let at = from;
  while (at < text.length) {
    if (text[at] === '`') return { end: at, opens: false };
    if (text[at] === '$' && text[at + 1] === '{') return { end: at, opens: true };
    at += text[at] === '\\' ? 2 : 1;
  }
  return { end: at, opens: false };
}

function regexEnd(text: string, from: number): number {
  let at = from;
  let isClass = false;
  while (at < text.length && text[at] !== '\n') {
    if (text[at] === '\\') at++;
    else if (text[at] === '[') isClass = true;
    else if (text[at] === ']') isClass = false;
    else if (text[at] === '/' && !isClass) break;
    at++;
  }
  at++;
  while (/[a-z]/.test(text[at] ?? '')) at++;
  return at;
}

export interface ImportSeen {
  /** As written: './log.ts', 'node:fs', 'xstate'. */
  readonly from: string;
  /** `import type`, or only `type` names. */
  readonly isTypeOnly: boolean;
  readonly isReexport: boolean;
  /** `import()`. */
  readonly isDynamic: boolean;
  readonly line: number;
}

const STATIC_IMPORT = /^[ \t]*(import|export)\b([^'";]*?)\bfrom\s*(['"])([^'"]+)\3/gm;
const BARE_IMPORT = /^[ \t]*import\s*(['"])([^'"]+)\1/gm;
const CALL_IMPORT = /(typeof\s+)?\b(?:import|require)\s*\(\s*(['"])([^'"]+)\2/g;

/** All imports and re-exports of a file, `import('x').Type` in types included (as type only). */
export function importsOf(masked: Masked): ImportSeen[] {
  const found: ImportSeen[] = [];
  const { uncommented, code } = masked;
  const isCode = (index: number): boolean => code[index] !== ' ' || uncommented[index] === ' ';
  const add = (match: RegExpMatchArray, from: string, rest: Partial<ImportSeen>): void => {
    const index = match.index ?? 0;
    if (!isCode(index + (match[0].length - match[0].trimStart().length))) return;
    const line = uncommented.slice(0, index).split('\n').length;
    found.push({ from, isTypeOnly: false, isReexport: false, isDynamic: false, line, ...rest });
  };
  for (const match of uncommented.matchAll(STATIC_IMPORT)) {
    const clause = match[2] as string;
    add(match, match[4] as string, {
      isTypeOnly: isTypeClause(clause),
      isReexport: match[1] === 'export',
    });
  }
  for (const match of uncommented.matchAll(BARE_IMPORT)) add(match, match[2] as string, {});
  for (const match of uncommented.matchAll(CALL_IMPORT)) {
    const after = uncommented.slice((match.index ?? 0) + match[0].length);
    // import('x').Name with a capital is a type; await import('x') is a call.
    const isTypeOnly = match[1] !== undefined || /^\)\s*\.\s*[A-Z]/.test(after);
    add(match, match[3] as string, { isTypeOnly, isDynamic: !isTypeOnly });
  }
  return found;
}

function isTypeClause(clause: string): boolean {
  if (/^\s*type\b/.test(clause)) return true;
  const names = /^\s*\{([^}]*)\}\s*$/.exec(clause)?.[1];
  if (names === undefined) return false;
  return names
    .split(',')
    .filter((name) => name.trim() !== '')
    .every((name) => /^\s*type\s/.test(name));
}

export interface FunctionSeen {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
  /** Lines without those of named functions inside it. */
  readonly ownLines: number;
}

/**
 * Functions, methods and arrow functions with a block, with their length from the first line of the
 * signature to the closing brace. Nested ones are listed too.
 */
export function functionsOf(masked: Masked): FunctionSeen[] {
  const { code } = masked;
  const found: { name: string; line: number; last: number }[] = [];
  const lineAt = lineCounter(code);
  for (let open = code.indexOf('{'); open >= 0; open = code.indexOf('{', open + 1)) {
    const head = functionHead(code, open);
    if (head === null) continue;
    const line = lineAt(head.start);
    const last = lineAt(closeOf(code, open));
    if (last > line) found.push({ name: head.name, line, last });
  }
  return found.map(({ name, line, last }) => {
    const inside = found.filter(
      (f) => f.name !== ARROW && f.line >= line && f.last <= last && f.last - f.line < last - line,
    );
    const inner = new Set<number>();
    for (const f of inside) for (let at = f.line; at <= f.last; at++) inner.add(at);
    const lines = last - line + 1;
    return { name, line, lines, ownLines: lines - inner.size };
  });
}

const ARROW = '(arrow)';
const NOT_A_NAME = /^(?:if|for|while|switch|catch|with|function)$/;

/** Whether the brace at `open` is a function's body; where its signature starts and its name. */
function functionHead(code: string, open: number): { start: number; name: string } | null {
  let before = code.slice(0, open).trimEnd();
  const isArrow = before.endsWith('=>');
  if (isArrow) before = before.slice(0, -2).trimEnd();
  const close = parameterEnd(before);
  if (close === null) {
    // `x => {`: one bare parameter.
    if (!isArrow) return null;
    return { start: before.search(/[\w$]+$/), name: arrowName(before.replace(/[\w$]+$/, '')) };
  }
  const start = openOf(before, close);
  if (start < 0) return null;
  const left = before.slice(0, start).replace(/<[^<>()]*(?:<[^<>]*>[^<>()]*)*>\s*$/, '');
  if (isArrow) return { start: lineStart(left), name: arrowName(left) };
  const name = /([\w$#]+)\s*$/.exec(left)?.[1] ?? '';
  if (name === '' || (NOT_A_NAME.test(name) && name !== 'function')) return null;
  return { start: lineStart(left), name };
}

function lineStart(left: string): number {
  return left.length - (/[^\n]*$/.exec(left)?.[0].trimStart().length ?? 0);
}

function arrowName(left: string): string {
  return /([\w$#]+)\s*(?::[^=;\n{}]*)?=\s*(?:async\s*)?$/.exec(left.slice(-300))?.[1] ?? ARROW;
}

/** Index of the ')' that ends the parameters, before a return type if any; null when there is none. */
function parameterEnd(before: string): number | null {
  if (before.endsWith(')')) return before.length - 1;
  const first = Math.max(0, before.length - 400);
  for (let at = before.lastIndexOf(')'); at >= first; at = before.lastIndexOf(')', at - 1)) {
    const colon = /^\)\s*:/.exec(before.slice(at, at + 20));
    if (colon !== null && isType(before.slice(at + colon[0].length))) return at;
  }
  return null;
}

const TYPE_WORDS = /\b(?:asserts|is|typeof|keyof|readonly|unique|extends|infer)\b/g;

/** Whether this text is one type and nothing else: no two names side by side, no statement. */
function isType(text: string): boolean {
  let flat = text;
  for (let shorter = ''; shorter !== flat; ) {
    shorter = flat;
    flat = flat.replace(/\{[^{}]*\}|<[^<>]*>|\([^()]*\)|\[[^[\]]*\]/g, '@');
  }
  flat = flat.replace(TYPE_WORDS, '').replace(/=>/g, '|').trim();
  return /^[\w$.@|&?:'"\s]+$/.test(flat) && !/[\w$@]\s+[\w$]|[\w$]\s+@/.test(flat);
}

function openOf(code: string, close: number): number {
  let depth = 0;
  for (let at = close; at >= 0; at--) {
    if (code[at] === ')') depth++;
    if (code[at] === '(' && --depth === 0) return at;
  }
  return -1;
}

function closeOf(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if (code[at] === '{') depth++;
    if (code[at] === '}' && --depth === 0) return at;
  }
  return code.length;
}

function lineCounter(code: string): (at: number) => number {
  const starts = [0];
  for (let at = code.indexOf('\n'); at >= 0; at = code.indexOf('\n', at + 1)) starts.push(at + 1);
  return (at) => {
    let low = 0;
    let high = starts.length;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if ((starts[middle] as number) <= at) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}
