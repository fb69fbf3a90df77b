/**
 * Cases that say what S3 does and that minikv does not do, by name, with the reason. The suite fails when one of
 * them passes and when one fails that is not among them, so this list says what is so.
 */
export const KNOWN_GAPS: Readonly<Record<string, string>> = {};
