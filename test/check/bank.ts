import type { Change } from './truth.ts';

/**
 * Accounts whose money is only moved, by transactions. An account that is absent holds START; any other
 * is a key with `AMOUNT UNIQUE` as its value, so that a value names the transfer that wrote it.
 */
export const START = 100;

export interface Bank {
  readonly prefix: string;
  readonly accounts: number;
}

/** All accounts of one moment, as a client read them: amounts by key, absent ones left out. */
export interface BankSeen {
  readonly how: string;
  readonly amounts: Readonly<Record<string, number>>;
  readonly call: number;
}

export type BankVerdict =
  | { readonly result: 'ok'; readonly reads: number; readonly changes: number }
  | { readonly result: 'violation'; readonly at: number | null; readonly reason: string };

export function accountKey({ prefix }: Bank, n: number): string {
  return `${prefix}${n}`;
}

export function amountIn(value: string): number {
  const amount = Number(value.slice(0, value.indexOf(' ')));
  if (!Number.isSafeInteger(amount)) throw new Error(`not the value of an account: ${value}`);
  return amount;
}

/**
 * K1 every read of all accounts has the whole sum, and no account is below zero;
 * K2 so it is at every revision of the final history.
 */
export function checkBank(
  bank: Bank,
  reads: readonly BankSeen[],
  history: readonly Change[],
): BankVerdict {
  for (const { how, amounts, call } of reads) {
    const wrong = wrongIn(bank, amounts);
    if (wrong !== null) return { result: 'violation', at: call, reason: `${how}: ${wrong}` };
  }
  const changes = history.filter(({ ref }) => ref.key.startsWith(bank.prefix));
  const wrong = wrongInHistory(bank, changes);
  if (wrong !== null) return { result: 'violation', at: null, reason: wrong };
  return { result: 'ok', reads: reads.length, changes: changes.length };
}

function wrongIn({ accounts }: Bank, amounts: Readonly<Record<string, number>>): string | null {
  let sum = accounts * START;
  for (const [key, amount] of Object.entries(amounts)) {
    if (amount < 0) return `${key} holds ${amount}`;
    sum += amount - START;
  }
  return sum === accounts * START ? null : `the sum is ${sum}, not ${accounts * START}`;
}

/** All changes of one revision are one transaction's. */
function wrongInHistory(bank: Bank, changes: readonly Change[]): string | null {
  const amounts = new Map<string, number>();
  let sum = 0;
  for (const [i, { ref, value, revision }] of changes.entries()) {
    const amount = value === null ? START : amountIn(value);
    if (amount < 0) return `@${revision}: ${ref.key} holds ${amount}`;
    sum += amount - (amounts.get(ref.key) ?? START);
    amounts.set(ref.key, amount);
    if (changes[i + 1]?.revision === revision || sum === 0) continue;
    return `@${revision}: the sum is ${bank.accounts * START + sum}, not ${bank.accounts * START}`;
  }
  return null;
}
