/** A property does not hold. Ends the run; its message is the first line of the report. */
export class SimViolation extends Error {
  override readonly name = 'SimViolation';
  readonly property: string;

  constructor(property: string, detail: string) {
    super(`${property}: ${detail}`);
    this.property = property;
  }
}
