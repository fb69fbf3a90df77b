/**
 * Every setting of `minikv serve`: one row is the flag `--<key>`, the variable `MINIKV_<KEY>`, the key
 * in the TOML file and the line in docs/configuration.md. Order of force: flag, environment, file,
 * default.
 */
export interface ConfigKey {
  readonly key: string;
  readonly kind: 'text' | 'integer' | 'boolean' | 'list';
  /** As text; null has no default. */
  readonly fallback: string | null;
  /** False: only in the environment and the file. */
  readonly flag: boolean;
  /** What stands behind the flag in the help, e.g. `<port>`. */
  readonly argument?: string;
  readonly help: string;
  /** What `config print` masks: all of it, or what a URL may hold of a password. */
  readonly secret?: 'all' | 'in-url';
}
