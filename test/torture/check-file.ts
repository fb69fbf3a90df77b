import { readHistory } from './history-file.ts';
import { judge } from './judge.ts';
import { FAULT_KINDS } from './nemesis.ts';
import { showSummary, summarize } from './summary.ts';

/** Checks a saved history again, with the checkers as they are now. Returns the exit code. */
export async function checkFile(path: string, levelMs: number): Promise<number> {
  const history = await readHistory(path);
  const summary = summarize(history, judge(history, levelMs), FAULT_KINDS, []);
  console.log(showSummary(summary));
  return summary.findings.length === 0 ? 0 : 1;
}
