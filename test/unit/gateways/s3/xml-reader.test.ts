import fc from 'fast-check';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { describe, expect, it } from 'vitest';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import { readXml, type XmlElement } from '../../../../gateways/s3/xml-reader.ts';
import { escapeXml, leaf, node, s3Document } from '../../../../gateways/s3/xml-writer.ts';
import { codeOf } from '../../../kit/s3-error-code.ts';

const MIB = 1024 * 1024;
const parse = (text: string): XmlElement => readXml(Buffer.from(text), 8 * MIB);

const refusal = (body: string | Uint8Array, bytesMax = 8 * MIB): string =>
  codeOf(() => readXml(typeof body === 'string' ? Buffer.from(body) : body, bytesMax));

describe('XML that is read', () => {
  it('elements, attributes and text, with the namespace left out', () => {
    const root = parse(
      '\ufeff<?xml version="1.0" encoding="UTF-8"?>\r\n<!-- a - b --><s3:A xmlns:s3="urn:x" xmlns="urn:y">\n <B xsi:type = \'x&amp;\n"\'>1</B ><C/></s3:A>\n',
    );
    expect(root.name).toBe('A');
    expect(root.attributes).toBeNull();
    expect(root.children.map(({ name }) => name)).toEqual(['B', 'C']);
    expect(root.children[0]?.attributes?.get('type')).toBe('x& "');
    expect(root.children[0]?.text).toBe('1');
  });

  it('references and CDATA, and line ends as XML has them', () => {
    expect(parse('<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x1F600;&#x0D;</a>').text).toBe(
      '<>&"\'A\u{1f600}\r',
    );
    expect(parse('<a>x<!-- y -->z<![CDATA[<&amp;>]]>w</a>').text).toBe('xz<&amp;>w');
    expect(parse('<a>1\r\n2\r3\n4</a>').text).toBe('1\n2\n3\n4');
    expect(parse('<a>&#x1;&#0;</a>').text).toBe('\u0001\0');
  });

  it('a numeric reference may be a part of a long text', () => {
    const text = 'k'.repeat(5000);
    expect(parse(`<a>${text}&amp;${text}&#x41;</a>`).text).toBe(`${text}&${text}A`);
  });
});

describe('XML that is refused', () => {
  const flaws: Record<string, string> = {
    nothing: '',
    'text alone': 'x',
    'two roots': '<a/><b/>',
    'text behind the root': '<a/>x',
    'CDATA behind the root': '<a/><![CDATA[x]]>',
    'a tag that is not closed': '<a>',
    'a tag that does not end': '<a',
    'tags that do not match': '<a><b></a></b>',
    'prefixes that do not match': '<x:a></y:a>',
    'an end without a start': '</a>',
    'a name that begins with a digit': '<1a/>',
    'two colons': '<a:b:c/>',
    'space before a name': '< a></a>',
    'a bare ampersand': '<a>&</a>',
    'an unknown entity': '<a>&nbsp;</a>',
    'an entity that does not end': '<a>&amp</a>',
    'a reference beyond Unicode': '<a>&#x110000;</a>',
    'a reference to a surrogate': '<a>&#xD800;</a>',
    'a control character': '<a>\u0001</a>',
    NUL: '<a>\0</a>',
    'a noncharacter': '<a>\uffff</a>',
    'an attribute without a value': '<a b/>',
    'an attribute without quotes': '<a b=c/>',
    'an attribute twice': '<a b="1" b="2"/>',
    'an attribute under two prefixes': '<a x:b="1" y:b="2"/>',
    'attributes without space between': '<a b="1"c="2"/>',
    '< in an attribute': '<a b="<"/>',
    ']]> in text': '<a>]]></a>',
    '-- in a comment': '<a><!-- -- --></a>',
    'a comment that is not closed': '<a><!-- x</a>',
    'a declaration in the middle': '<a><?xml version="1.0"?></a>',
    'a declaration after a space': ' <?xml version="1.0"?><a/>',
    'an instruction': '<?php echo 1?><a/>',
    'UTF-16': '<?xml version="1.0" encoding="UTF-16"?><a/>',
    'an unknown version': '<?xml version="2.0"?><a/>',
  };
  for (const [what, text] of Object.entries(flaws)) {
    it(what, () => expect(refusal(text)).toBe('MalformedXML'));
  }

  it('bytes that are not UTF-8', () => {
    expect(refusal(Buffer.from('<a>\xff</a>', 'latin1'))).toBe('MalformedXML');
    expect(refusal(Buffer.from('<a/>', 'utf16le'))).toBe('MalformedXML');
  });

  it('a body that is too large', () => {
    expect(refusal('<a>12345</a>', 12)).toBe('none');
    expect(refusal('<a>123456</a>', 12)).toBe('MalformedXML');
  });

  it('depth, attributes and elements beyond their bounds', () => {
    expect(refusal('<a>'.repeat(12) + '</a>'.repeat(12))).toBe('none');
    expect(refusal('<a>'.repeat(13) + '</a>'.repeat(13))).toBe('MalformedXML');
    const attributes = (count: number) =>
      Array.from({ length: count }, (_, at) => ` a${at}=""`).join('');
    expect(refusal(`<a${attributes(16)}/>`)).toBe('none');
    expect(refusal(`<a${attributes(17)}/>`)).toBe('MalformedXML');
    expect(refusal(`<a>${'<b/>'.repeat(99_999)}</a>`)).toBe('none');
    expect(refusal(`<a>${'<b/>'.repeat(100_000)}</a>`)).toBe('MalformedXML');
  });
});

/** FAULTS I22. The best of five: the machine has other work, and the first run compiles. */
describe('hostile XML', () => {
  const large = 4_000_000;
  const hostile: Record<string, string> = {
    'a billion laughs': `<!DOCTYPE l [<!ENTITY a "ha">${Array.from({ length: 30 }, (_, n) => `<!ENTITY a${n} "&a;&a;">`).join('')}]><l>&a29;</l>`,
    'an external entity': '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    'an external DTD': '<!DOCTYPE a SYSTEM "http://169.254.169.254/"><a/>',
    'an entity without a DTD': '<a>&x;</a>',
    'open brackets': `<a>${'<'.repeat(large)}`,
    'open elements': '<a>'.repeat(large / 4),
    'open comments': `<a>${'<!--'.repeat(large / 4)}`,
    'open sections': `<a>${'<![CDATA['.repeat(large / 10)}`,
    'open attributes': `<a ${'x="'.repeat(large / 4)}`,
    'many attributes': `<a ${Array.from({ length: 100_000 }, (_, at) => `a${at}=""`).join(' ')}/>`,
    'a long name': `<${'a'.repeat(large)}`,
    'many prefixes': `<${'a:'.repeat(large / 2)}>`,
    ampersands: `<a>${'&'.repeat(large)}</a>`,
    'spaces in a tag': `<a${' '.repeat(large)}!>`,
  };
  for (const [what, text] of Object.entries(hostile)) {
    it(`I22 ${what}: MalformedXML in less than 50 ms`, () => {
      const body = Buffer.from(text);
      let bestMs = Number.POSITIVE_INFINITY;
      for (let run = 0; run < 5; run++) {
        const before = process.cpuUsage();
        expect(refusal(body)).toBe('MalformedXML');
        const { user, system } = process.cpuUsage(before);
        bestMs = Math.min(bestMs, (user + system) / 1000);
      }
      expect(bestMs).toBeLessThan(50);
    });
  }
});

const name = fc
  .stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,8}$/)
  .filter((text) => !isReserved(text));
/** The other parser refuses or renames these. */
const isReserved = (text: string) =>
  /^(?:__|constructor|prototype|hasOwn|toString|valueOf)/i.test(text);

interface Tree {
  readonly name: string;
  readonly text: string;
  readonly children: readonly Tree[];
}

const anyText = fc.string({ unit: 'grapheme', maxLength: 12 });
const tree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.record({
    name,
    text: anyText,
    children: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      fc.constant([]),
      fc.array(tie('tree'), { maxLength: 3 }),
    ),
  }),
})).tree;

const markupOf = (each: Tree): ReturnType<typeof node> =>
  node(each.name, [escapeXml(each.text), ...each.children.map(markupOf)]);

function expectSame(element: XmlElement, expected: Tree): void {
  expect(element.name).toBe(expected.name);
  expect(element.text).toBe(expected.text);
  expect(element.children).toHaveLength(expected.children.length);
  expected.children.forEach((child, at) => {
    expectSame(element.children[at] as XmlElement, child);
  });
}

describe('properties', () => {
  it('what is written is read again, whatever the text is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const body = Buffer.from(s3Document('A', [leaf('B', text)]));
        expect(readXml(body, MIB).children[0]?.text).toBe(text);
      }),
    );
  });

  it('trees of elements are read as they were written', () => {
    fc.assert(
      fc.property(tree, (each) => {
        expectSame(readXml(Buffer.from(markupOf(each)), MIB), each);
      }),
    );
  });

  it('whatever is read, another parser reads alike', () => {
    const other = new XMLParser({
      preserveOrder: true,
      parseTagValue: false,
      trimValues: false,
      processEntities: false,
    });
    const piece = fc.oneof(
      fc.constantFrom(
        '<a>',
        '</a>',
        '<b/>',
        '<b>',
        '</b>',
        '<a x="1">',
        'text',
        ' ',
        '\n',
        '<',
        '>',
      ),
      fc.constantFrom('<!-- c -->', '<![CDATA[d]]>', '&amp;', '&', '"', "'", '/', '=', '<?xml?>'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = `<r>${pieces.join('')}</r>`;
        let root: XmlElement;
        try {
          root = parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(S3Error);
          return;
        }
        expect(XMLValidator.validate(text)).toBe(true);
        const names = (nodes: Record<string, unknown>[]): unknown[] =>
          nodes.flatMap((each) =>
            Object.entries(each)
              .filter(([key]) => key !== '#text' && key !== ':@')
              .map(([key, inner]) => [key, names(inner as Record<string, unknown>[])]),
          );
        const ours = (element: XmlElement): unknown => [element.name, element.children.map(ours)];
        expect([ours(root)]).toEqual(names(other.parse(text)));
      }),
      { numRuns: 2000 },
    );
  });

  it('bytes are read or refused as MalformedXML, nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(['none', 'MalformedXML']).toContain(refusal(bytes));
      }),
    );
  });
});
