/**
 * Cases that say what S3 does and that minikv does not do, with the reason. The suite fails when one of them holds and
 * when one fails that is not among them, so this list says what is so.
 */
const GAPS: readonly { readonly reason: string; readonly cases: readonly string[] }[] = [
  {
    reason:
      'No checksum is computed that the client did not ask for: CRC64NVME in WebAssembly (1.4 GB/s) is 13 % of a put of 64 MiB',
    cases: ['checksums: without one there is CRC64NVME, or none'],
  },
];

/** The reason by the case's name. */
export const KNOWN_GAPS: Readonly<Record<string, string>> = Object.fromEntries(
  GAPS.flatMap(({ reason, cases }) => cases.map((name) => [name, reason])),
);
