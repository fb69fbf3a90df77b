import { describe, expect, it } from 'vitest';
import { functionsOf, importsOf, mask } from '../../tidy/lexer.ts';

/** Templates in the samples are written with § for $, so that nothing here is a template. */
const sample = (...lines: string[]): string => lines.join('\n').replaceAll('§', '$');

describe('masking', () => {
  it('blanks comments, strings, templates and regular expressions, and keeps the length', () => {
    const text = sample(
      "const a = 'Date.now'; // Date.now",
      '/* Date.now */ const b = `x §{Date.now} Date.now`;',
      'const c = /Date.now[/]/g.test(d) ? 1 / 2 : Date.now;',
    );
    const { code } = mask(text);
    expect(code).toHaveLength(text.length);
    expect(code.match(/Date\.now/g)).toHaveLength(2);
  });

  it('follows templates in templates and braces inside them', () => {
    const { code } = mask(
      sample('const x = `a §{[{ b: `c §{d} enum` }].map((e) => { return e; })} enum`; enum'),
    );
    expect(code.match(/enum/g)).toHaveLength(1);
    expect(code).toContain('return e');
  });

  it('gives the comments alone', () => {
    const { comments } = mask("const x = 'TODO'; // TODO now\n");
    expect(comments.trim()).toBe('// TODO now');
  });
});

describe('imports', () => {
  const found = importsOf(
    mask(
      [
        "import { a } from './a.ts';",
        "import type { B } from './b.ts';",
        "import { type C, type D } from './c.ts';",
        "import { type C, e } from './e.ts';",
        "import './side.ts';",
        "export { f } from './f.ts';",
        "type G = import('./g.ts').Name;",
        "const h = await import('./h.ts');",
        "// import { no } from './comment.ts';",
        'const s = "import { no } from \'./string.ts\';";',
        'import {',
        '  many,',
        "} from './many.ts';",
      ].join('\n'),
    ),
  );

  it('finds every form, and none in comments or strings', () => {
    expect(found.map((i) => i.from).sort()).toEqual(
      ['a', 'b', 'c', 'e', 'f', 'g', 'h', 'many', 'side'].map((name) => `./${name}.ts`),
    );
  });

  it('knows types from values, re-exports and dynamic imports', () => {
    const types = found.filter((i) => i.isTypeOnly).map((i) => i.from);
    expect(types.sort()).toEqual(['./b.ts', './c.ts', './g.ts']);
    expect(found.filter((i) => i.isReexport).map((i) => i.from)).toEqual(['./f.ts']);
    expect(found.filter((i) => i.isDynamic).map((i) => i.from)).toEqual(['./h.ts']);
  });
});

describe('functions', () => {
  it('measures functions, methods and arrows from signature to brace', () => {
    const found = functionsOf(
      mask(
        [
          'export function one(a: { b: number }): { c: number } {',
          '  if (a) {',
          '    return a;',
          '  }',
          '}',
          'class X {',
          '  async two<T>(',
          '    a: T,',
          '  ): Promise<void> {',
          '    for (const b of a) {',
          '    }',
          '  }',
          '}',
          'const three = (a: number): number => {',
          '  return a;',
          '};',
        ].join('\n'),
      ),
    );
    expect(found.map((f) => [f.name, f.line, f.lines])).toEqual([
      ['one', 1, 5],
      ['two', 7, 6],
      ['three', 14, 3],
    ]);
  });

  it('a factory does not own the lines of the named functions inside it', () => {
    const inner = ['  const b = () => {', '    go();', '  };'];
    const found = functionsOf(mask(['function a() {', ...inner, '  return b;', '}'].join('\n')));
    expect(found.find((f) => f.name === 'a')).toMatchObject({ lines: 6, ownLines: 3 });
  });
});
