/**
 * Writes down every call of a public method of these classes, by name and in order, until `stop`: what two requests did can be
 * compared, where the time that they took says little.
 */
export function countCalls(...classes: readonly { readonly name: string; prototype: object }[]): {
  /** Those since it was asked last. */
  readonly taken: () => string[];
  readonly stop: () => void;
} {
  const calls: string[] = [];
  const undo: (() => void)[] = [];
  for (const { name: owner, prototype } of classes) {
    for (const [name, described] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      const method = described.value as unknown;
      if (name === 'constructor' || typeof method !== 'function') continue;
      const counted = function (this: unknown, ...args: unknown[]): unknown {
        calls.push(`${owner}.${name}`);
        return method.apply(this, args);
      };
      Object.defineProperty(prototype, name, { ...described, value: counted });
      undo.push(() => Object.defineProperty(prototype, name, described));
    }
  }
  return {
    taken: () => calls.splice(0),
    stop: () => {
      for (const one of undo) one();
    },
  };
}
