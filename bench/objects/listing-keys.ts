/** Where the objects of the listing bench lie, for one size of bucket. */
export interface KeyPlan {
  readonly count: number;
  keyOf(n: number): string;
}

const SHARED_PREFIXES = 1_000;

/**
 * A quarter below a thousand prefixes (`shared/`), a fifth with a prefix of its own each (`own/`), a twentieth at the end
 * of a long path (`deep/`), the rest side by side (`flat/`). `size` is a multiple of 10,000.
 */
export function keyPlan(size: number): KeyPlan {
  const shared = Math.max(2 * SHARED_PREFIXES, size / 4);
  const own = size / 5;
  const deep = size / 20;
  const name = (n: number): string => String(n).padStart(7, '0');
  return {
    count: size,
    keyOf(n) {
      let at = n;
      if (at < shared) return `shared/${name(at % SHARED_PREFIXES)}/${name(at)}`;
      at -= shared;
      if (at < own) return `own/${name(at)}/object`;
      at -= own;
      if (at < deep) return `${DEEP}${name(at)}`;
      return `flat/${name(at - deep)}`;
    },
  };
}

export const DEEP = `deep/${Array.from({ length: 30 }, (_, i) => `level-${i}`).join('/')}/`;
