/** What a signature is for: one day, one region, S3. */
export interface Scope {
  /** yyyyMMdd. */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  /** As it is signed: date/region/service/aws4_request. */
  readonly text: string;
}

export interface CredentialScope {
  readonly accessKeyId: string;
  readonly scope: Scope;
}

/** Refuses with the code of the place the credential was found in. `extra`: elements of the answer. */
export type Refuse = (why: string, extra?: Readonly<Record<string, string>>) => Error;

/**
 * `accessKeyId/date/region/service/aws4_request`. Throws what `refuse` makes where it is not of that form, or is
 * for another region or service: SDKs ask again with the region that they find in the answer.
 */
export function credentialScopeOf(text: string, region: string, refuse: Refuse): CredentialScope {
  const parts = text.split('/');
  if (parts.length !== 5 || parts.includes('')) {
    throw refuse(
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  }
  const [accessKeyId, date, ofRegion, service, terminal] = parts as [
    string,
    string,
    string,
    string,
    string,
  ];
  if (timeOf(`${date}T000000Z`) === null) {
    throw refuse(
      `incorrect date format "${date}". This date in the credential must be in the format "yyyyMMdd".`,
    );
  }
  if (service !== 's3') {
    throw refuse(`incorrect service "${service}". This endpoint belongs to "s3".`);
  }
  if (terminal !== 'aws4_request') {
    throw refuse(`incorrect terminal "${terminal}". This endpoint uses "aws4_request".`);
  }
  if (ofRegion !== region) {
    throw refuse(`the region '${ofRegion}' is wrong; expecting '${region}'`, { Region: region });
  }
  const scope = { date, region, service, text: `${date}/${region}/s3/aws4_request` };
  return { accessKeyId, scope };
}

const ISO_BASIC = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

/** Unix ms of a yyyyMMddTHHmmssZ that is in the calendar, else null. */
export function timeOf(text: string): number | null {
  const match = ISO_BASIC.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const timeMs = Date.UTC(year, month - 1, day, hour, minute, second);
  // Date.UTC takes the 31st of June for the 1st of July, and the year 50 for 1950.
  return timestampOf(timeMs) === text ? timeMs : null;
}

/** Unix ms as yyyyMMddTHHmmssZ. */
export function timestampOf(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}
