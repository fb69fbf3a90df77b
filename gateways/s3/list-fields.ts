import { invalidArgument } from './errors.ts';

type Query = ReadonlyMap<string, string>;

/** Items of one page, also where more are asked for. */
export const PAGE_ITEMS_MAX = 1000;
const NUMBER_MAX = 2_147_483_647;

/** What all listings of a bucket ask. */
export interface ListFields {
  readonly prefix: string;
  /** Null groups nothing; an empty one is none, as S3 takes it. */
  readonly delimiter: string | null;
  readonly isUrlEncoded: boolean;
  /** Of one page: at most PAGE_ITEMS_MAX. */
  readonly maxItems: number;
}

/** `maxName`: `max-keys` or `max-uploads`. Throws InvalidArgument. */
export function listFieldsOf(query: Query, maxName: string): ListFields {
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') || null,
    isUrlEncoded: isUrlEncoded(query),
    maxItems: pageOf(query, maxName),
  };
}

/** An integer that is not negative, lowered to a page; a page where it is absent. Throws InvalidArgument. */
export function pageOf(query: Query, name: string): number {
  return Math.min(PAGE_ITEMS_MAX, numberOf(query, name) ?? PAGE_ITEMS_MAX);
}

/** Null where it is absent or empty. Throws InvalidArgument. */
export function numberOf(query: Query, name: string): number | null {
  const given = query.get(name) ?? '';
  if (given === '') return null;
  if (!/^-?[0-9]+$/.test(given)) {
    throw invalidArgument(
      `Provided ${name} not an integer or within integer range`,
      name,
      shown(given),
    );
  }
  const number = Number(given);
  if (number >= 0 && number <= NUMBER_MAX) return number;
  throw invalidArgument(
    `Argument ${name} must be an integer between 0 and ${NUMBER_MAX}`,
    name,
    shown(given),
  );
}

function isUrlEncoded(query: Query): boolean {
  const name = 'encoding-type';
  const given = query.get(name) ?? '';
  if (given === '') return false;
  if (given === 'url') return true;
  throw invalidArgument('Invalid Encoding Method specified in Request', name, shown(given));
}

/** `fetch-owner` and kin. Throws InvalidArgument. */
export function booleanOf(query: Query, name: string): boolean {
  const given = (query.get(name) ?? '').toLowerCase();
  if (given === '' || given === 'false') return false;
  if (given === 'true') return true;
  throw invalidArgument(`${name} must be true or false`, name, shown(given));
}

function shown(given: string): string {
  return given.slice(0, 256);
}
