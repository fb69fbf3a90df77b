import { SingleBar } from 'cli-progress';

/** A progress bar on standard error; the door to cli-progress. */
export interface ProgressBar {
  /** `done` of the total (bytes, say), and the records that make up the rate. */
  update(done: number, records: number): void;
  stop(): void;
}

export const NO_PROGRESS: ProgressBar = { update: () => {}, stop: () => {} };

/** `total` null: unknown, so no bar and no time left, only what was done and how fast. */
export function openProgress(
  label: string,
  total: number | null,
  nowMs: () => number,
): ProgressBar {
  const startedMs = nowMs();
  const bar = new SingleBar({
    format:
      total === null
        ? `${label} {records} records, {rate}/s`
        : `${label} [{bar}] {percentage} % {records} records, {rate}/s, {eta_formatted} left`,
    stream: process.stderr,
    noTTYOutput: true,
    notTTYSchedule: 2_000,
    etaBuffer: 50,
    hideCursor: false,
  });
  const rate = (records: number): number =>
    Math.round((records * 1000) / Math.max(1, nowMs() - startedMs));
  bar.start(Math.max(1, total ?? 1), 0, { records: 0, rate: 0 });
  return {
    update: (done, records) =>
      bar.update(Math.min(done, bar.getTotal()), { records, rate: rate(records) }),
    stop: () => bar.stop(),
  };
}

const LINE_EVERY_MS = 500;
const PLAIN_EVERY_MS = 5_000;

/** One line on standard error that is written again as it changes; on no terminal a new one, more seldom. */
export function openStatusLine(isShown: boolean, say: () => string): { stop(): void } {
  if (!isShown) return { stop: () => {} };
  const { stderr } = process;
  const isTerminal = stderr.isTTY === true;
  const show = (): void => void stderr.write(isTerminal ? `\r\u001b[K${say()}` : `${say()}\n`);
  const timer = setInterval(show, isTerminal ? LINE_EVERY_MS : PLAIN_EVERY_MS);
  return {
    stop: () => {
      clearInterval(timer);
      if (isTerminal) stderr.write('\r\u001b[K');
    },
  };
}
