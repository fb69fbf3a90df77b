import type { Template } from '../template.ts';

/** The few MessagePack forms that requests are made of. */
export const text = (value: string): Buffer => {
  if (value.length > 31) throw new Error('a short text has at most 31 characters');
  return Buffer.concat([Buffer.of(0xa0 | value.length), Buffer.from(value, 'latin1')]);
};

export const map = (fields: number): Buffer => Buffer.of(0x80 | fields);

export const list = (count: number): Buffer => Buffer.of(0xdc, count >> 8, count & 0xff);

export const binary = (length: number): Buffer =>
  length < 256 ? Buffer.of(0xc4, length) : Buffer.of(0xc5, length >> 8, length & 0xff);

/** `key` and its key. */
export function keyField(template: Template): Template {
  return template
    .raw(text('key'))
    .raw(Buffer.of(0xa0 | template.keyLength))
    .key();
}

/** `value` and its bytes. */
export function valueField(template: Template): Template {
  return template.raw(text('value')).raw(binary(template.valueLength)).value();
}

/** `{ops: [{op: 'put', key, value}, ...]}` */
export function batchBody(template: Template, count: number): Template {
  template.raw(map(1)).raw(text('ops')).raw(list(count));
  for (let i = 0; i < count; i++) {
    template.raw(map(3)).raw(text('op')).raw(text('put'));
    valueField(keyField(template));
  }
  return template;
}
