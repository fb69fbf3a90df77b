import type { FastifySchemaCompiler } from 'fastify';
import type { TObject, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { AppError } from '../../protocol/errors.ts';

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  '1': true,
  '': true,
  false: false,
  '0': false,
};
const WHOLE = /^(?:0|[1-9][0-9]{0,15})$/;

/** Text to what the schema wants, where it is exactly that; anything else stays text and is refused. */
function converted(schema: TSchema, text: unknown): unknown {
  const type: unknown = Reflect.get(schema, 'type');
  if (typeof text !== 'string') return text;
  if (type === 'integer' && WHOLE.test(text)) return Number(text);
  if (type === 'boolean' && Object.hasOwn(BOOLEANS, text)) return BOOLEANS[text];
  return text;
}

/** The fields of a query string as its schema types them. Throws Error with what is wrong. */
export function checkedQuery(
  schema: TObject,
  value: Readonly<Record<string, unknown>>,
  check: (query: unknown) => boolean = (query) => Value.Check(schema, query),
): Record<string, unknown> {
  const query: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(value)) {
    const property = Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
    if (property === undefined) {
      throw invalid(`there is no query parameter ${JSON.stringify(name.slice(0, NAME_CHARS_MAX))}`);
    }
    const given = converted(property, text);
    if (typeof given === 'number' && !Number.isSafeInteger(given)) {
      throw invalid(`${name} ${mustBe(property)}`);
    }
    query[name] = given;
  }
  if (check(query)) return query;
  const missing = schema.required?.find((name) => !Object.hasOwn(query, name));
  if (missing !== undefined) throw invalid(`the query parameter ${missing} is missing`);
  const [first] = Value.Errors(schema, query);
  const name = first?.instancePath.slice(1) ?? '';
  throw invalid(`${name || 'the query'} ${mustBe(schema.properties[name])}`);
}

const NAME_CHARS_MAX = 64;

/** What a value of this schema has to be, as far as it can be said in a few words. */
function mustBe(schema: TSchema | undefined): string {
  const { type, minimum, maximum, maxLength } = (schema ?? {}) as Readonly<Record<string, unknown>>;
  if (type === 'boolean') return 'must be true or false';
  if (type === 'integer') {
    if (maximum === undefined) return `must be a whole number of at least ${minimum ?? 0}`;
    return `must be a whole number from ${minimum ?? 0} to ${maximum}`;
  }
  if (type === 'string' && maxLength !== undefined)
    return `must have at most ${maxLength} characters`;
  return 'is not valid';
}

function invalid(message: string): AppError {
  return new AppError('invalid_argument', message);
}

/** Checks query strings; bodies and headers are left to their parsers (schemas.ts). */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  if (httpPart !== 'querystring') return (value: unknown) => ({ value });
  const object = schema as TObject;
  const checked = Compile(object);
  return (value: Record<string, unknown>) => {
    try {
      return { value: checkedQuery(object, value, (query) => checked.Check(query)) };
    } catch (error) {
      return { error: error as Error };
    }
  };
};
