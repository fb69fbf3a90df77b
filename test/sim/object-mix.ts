import { type Random, randomInt } from '../../protocol/random.ts';

/** Of a hundred steps. */
const SHARES = {
  readPair: 5,
  get: 20,
  put: 23,
  race: 4,
  deletePair: 6,
  delete: 3,
  list: 5,
  changeVersions: 14,
  upload: 7,
  claim: 3,
  changeRuled: 5,
  comeAndGo: 5,
} as const;

type Shared = keyof typeof SHARES;
export type ObjectStep = Shared | 'switch';

const ALL = Object.keys(SHARES) as Shared[];
const FAVOURITES = ['deletePair', 'changeVersions', 'claim', 'changeRuled', 'comeAndGo'] as const;
export type Favourite = (typeof FAVOURITES)[number];
const FAVOURITE_SHARE = 0.4;
const SWITCH_SHARE = 0.2;

/**
 * What one client of objects does, and how often. Half of them have a favourite: what needs many tries of one kind
 * to go wrong is met in some seeds often, rather than in all of them now and then.
 */
export class ObjectMix {
  readonly #isSwitch: boolean;
  readonly #favourite: ObjectStep | null;

  /** `given`: what a run is aimed at; else it is drawn. */
  constructor(random: Random, isSwitch: boolean, given: Favourite | null) {
    this.#isSwitch = isSwitch;
    const favourite = FAVOURITES[randomInt(random, 0, FAVOURITES.length - 1)] as ObjectStep;
    const hasOne = random.next() < 0.5;
    this.#favourite = given ?? (hasOne ? (isSwitch ? 'switch' : favourite) : null);
  }

  draw(random: Random): ObjectStep {
    if (this.#favourite !== null && random.next() < FAVOURITE_SHARE) return this.#favourite;
    if (this.#isSwitch && random.next() < SWITCH_SHARE) return 'switch';
    let at = random.next() * 100;
    for (const step of ALL) {
      at -= SHARES[step];
      if (at < 0) return step;
    }
    return 'get';
  }
}
