/**
 * What a trusted store has to survive, by name: B classes of bugs that replicated stores have had in
 * public, F faults that are injected, I inputs that attack. Tests begin with the names of their rows;
 * docs/faults.md is generated from this table, the tests' titles and results.json.
 */
export interface FaultRow {
  readonly what: string;
  /** What must happen (F, I), or what keeps the class out here (B). */
  readonly expected: string;
  /** Why no test can exist yet: the feature it belongs to. Absent: a test must exist. */
  readonly waitsFor?: string;
}

const row = (what: string, expected: string, waitsFor?: string): FaultRow =>
  waitsFor === undefined ? { what, expected } : { what, expected, waitsFor };

export const ROWS: Readonly<Record<string, FaultRow>> = {
  B01: row(
    'Stale read by a deposed leader',
    'ReadIndex: a quorum confirms the leader after the read arrived',
  ),
  B02: row(
    'Stale read after an election: commit index unknown',
    "no read before the term's no-op is committed",
  ),
  B03: row(
    'Stale read by a late or reused confirmation',
    'one nonce per round; names with incarnations',
  ),
  B04: row(
    'Empty reads after a restart or a membership change',
    'recovery before serving; the applied index is in the engine',
  ),
  B05: row('Lost updates on leader change', 'conditions are checked at apply, in log order'),
  B06: row('Loss of a committed write', 'a quorum of fsynced copies; election restriction'),
  B07: row('Split brain on membership change', 'joint consensus, one change at a time'),
  B08: row(
    'Votes or acknowledgements of non-voters count',
    'they are looked up in the configuration by full name',
  ),
  B09: row(
    'Applied twice by a retry or by proxying',
    'idempotency rows, checked at apply; nothing repeated silently',
  ),
  B10: row(
    'A definite error for a write that succeeded',
    'a proposal is settled only by what is applied at its index',
  ),
  B11: row(
    'Snapshot and log do not match; torn snapshot',
    'checksums, generations, one pointer row',
  ),
  B12: row(
    'Two snapshots in a row, messages while one loads',
    'one at a time; the log stands still meanwhile',
  ),
  B13: row('Crash between term and vote', 'both are events of one batch in one WAL'),
  B14: row('Acknowledged before fsync', "the turn's order; only AppendEntries may leave early"),
  B15: row(
    'Damaged log cut as if it were uncommitted',
    'synced positions tell a torn tail from damage',
  ),
  B16: row(
    'Clean-up deletes live data after metadata was lost',
    'damaged data is moved aside, never deleted',
  ),
  B17: row('Applied index not atomic with the data', 'it is a row of the same batch'),
  B18: row(
    'Crash during compaction',
    'replicated floor, lazy removal in steps; checkpoints drop whole segments',
  ),
  B19: row(
    'Watch: lost, duplicate, out of order, time travel',
    'pages by position, closed revisions, `compacted`',
  ),
  B20: row(
    'Lock lost while its holder waited',
    'leases that a new leader extends, fencing tokens that are revisions',
  ),
  B21: row('Transaction anomalies', 'two-phase locking; closed revisions below what is prepared'),
  B22: row(
    'Order depends on clocks; equal timestamps',
    'revisions from the leader, bounds in the log, clock watch',
  ),
  B23: row('Data lost while shards move', 'frozen source, one epoch', 'moving shards'),
  B24: row(
    'A removed node serves or disrupts; removal of a leader',
    'PreVote; the leader steps down after its own removal',
  ),
  B25: row(
    'A leader with a hung disk keeps its lease by heartbeats',
    'a turn that waits for its fsync sends none; others elect',
  ),
  B26: row(
    'Unavailability in a healthy cluster',
    'no election without a fault; convergence after the heal',
  ),
  B27: row(
    'The client hides indeterminacy',
    '`definite` in every error: done, certainly not done, or unknown',
  ),
  B28: row(
    'Auth or configuration not in the order of the data',
    "what apply needs is in the group's own log",
    'identity, as far as rules of access go',
  ),
  F01: row('kill -9 of the leader', 'writes go on after an election; nothing acknowledged is lost'),
  F02: row('leader stopped 2.5 s, then continued', 'it answers no read before confirming again'),
  F03: row(
    'symmetric partition',
    'the minority says 503 with Retry-After in time, never a stale 200',
  ),
  F04: row('partial partition (1 and 2 apart, both see 3)', 'no storm of elections; progress'),
  F05: row('one-way cut', 'a leader that hears no quorum steps down'),
  F06: row('burst of messages up to 13 s old after healing', 'dropped by term, life and nonce'),
  F07: row('30 % loss, repetition, delay, reordering', 'correct, slower'),
  F08: row('kill -9 of all nodes at once', 'everything acknowledged is back'),
  F09: row('power cut of one node and of all', 'as F08: acknowledged is fsynced on a quorum'),
  F10: row('torn WAL tail', 'only the incomplete last batch is cut; it starts'),
  F11: row(
    'bit flip or hole inside the WAL on a minority',
    'found by CRC; not cut, not voting; back under a new name',
  ),
  F12: row(
    'damaged snapshot, engine or identity file',
    'set aside, never deleted; rebuilt from the log or a peer; the only copy refuses to start and says what to do. Not found: a bit of a table that flips between two of its verifications, where a read or a compaction meets it first (ADR 0028)',
  ),
  F13: row(
    'empty disk',
    'the old identity is refused; a learner first; another disk may go when the nodes say that every copy is there',
  ),
  F14: row('fsync fails', 'no retry, no acknowledgement: the process exits non-zero'),
  F15: row(
    'disk full, short writes',
    'writes are 507 and definite, reads and watches go on, it recovers by itself',
  ),
  F16: row('disk becomes read-only', 'writes are refused, reads go on, an alarm'),
  F17: row('too many open files', 'refused, alive, an alarm'),
  F18: row('slow disk (7 fsyncs a second)', 'the leader hands over; back-pressure, bounded memory'),
  F19: row('wall clocks jump an hour or run at twice the speed', 'no effect on safety'),
  F20: row('members replaced during F01 to F05', 'one change at a time; B07 stays out'),
  F21: row('snapshot install under load, twice', 'no panic, no gap in a watch'),
  F22: row('crash at each step of compaction', 'B17 and B18 stay out'),
  F23: row('replies dropped, client retries with one key', 'applied once, the same answer'),
  F24: row('coordinator killed at any record', 'every participant resolves alike, in 2 s'),
  F25: row('NATS servers killed or restarted', '503; nothing acknowledged is lost; back soon'),
  F26: row(
    'NATS slow consumer, payload over 1 MB',
    'cut in pieces or refused before publishing; the connection survives',
  ),
  F27: row('killed for using too much memory', 'as F01'),
  F28: row('CPU at 10 to 30 %', 'no split brain; fails over cleanly or not at all'),
  F29: row('old and new version side by side', 'understood both ways', 'a second protocol version'),
  F30: row('links cut one after another, then mended', 'converges'),
  I01: row('headers over 16 KB, one header of 17 KB', '431, close'),
  I02: row('more than 200 headers', '431, close'),
  I03: row('long URL, long key', '414'),
  I04: row('no Host, two Hosts', '400, close'),
  I05: row('Content-Length with Transfer-Encoding; two lengths', '400, close'),
  I06: row('`TE: xchunked`, `chunked, identity`, `TE :`', 'exactly one 400, close'),
  I07: row('chunk sizes that are none, extensions, LF only', '400 or 413, nothing stored'),
  I08: row('Content-Length `+1`, `0x1`, `-1`, 2^64, 2^53', '400; 413 before reading'),
  I09: row('a body shorter than its length', 'nothing stored'),
  I10: row('slow headers, slow body', '408 within 10 s; others are served'),
  I11: row('more connections than allowed', 'refused; health still answers'),
  I12: row('10,000 pipelined requests', 'in order, bounded, or closed'),
  I13: row('HTTP/0.9, HTTP/9.9, h2 preface, TLS', '400, close'),
  I14: row('absolute-form, CONNECT', '400 or 405; never a proxy'),
  I15: row('dots, escapes and slashes in a key', 'key bytes, decoded exactly once; never a path'),
  I16: row('NUL, CR, LF, DEL in a key', '400'),
  I17: row('malformed escapes, bytes that are no UTF-8', '400; or a key, byte for byte'),
  I18: row('Unicode twins, emoji, the empty key', 'different keys; 400'),
  I19: row('JSON depth of 100,000', '400 in under 50 ms'),
  I20: row('`__proto__` and kin as key, field, query', 'data like any other, or 400'),
  I21: row('duplicate JSON keys, 2^53+1, 1e999, BOM, invalid UTF-8', '400; never a silent change'),
  I22: row('XML bombs and DTDs', '400 MalformedXML'),
  I23: row('XML beyond the limits', '400'),
  I24: row('aws-chunked lies', '400 or 403, nothing visible'),
  I25: row('gzip bomb as Content-Encoding', 'never undone: 415'),
  I26: row('checksum mismatch', '400 BadDigest'),
  I27: row('a thousand ranges, reversed, 2^64', '416 or the whole'),
  I28: row('replayed signed PUT', 'as S3 does'),
  I29: row('skewed or expired signature', '403'),
  I30: row('SigV4 tricks', '403'),
  I31: row('JWT alg=none', '401'),
  I32: row('JWT key confusion', '401'),
  I33: row("another tenant's names", 'as if it did not exist'),
  I34: row('forwarded and identity headers, CRLF in values', 'change nothing; 400'),
  I35: row('1 MB prefix, huge limit, forged cursor', 'bounded; 400'),
  I36: row(
    'WebSocket: unmasked, oversize, floods, foreign Origin, slow reader',
    '1002, 1009, 1008, 403; slow is closed 1013 and can resume',
  ),
  I37: row('SSE: forged resume points, a client that never reads', '400, 410; cut off'),
  I38: row('admin: nonsense changes, last voter, no such node', 'refused by name; never unsafe'),
  I39: row(
    'NATS and MessagePack bombs, 2 MB messages, NUL in a subject',
    'refused before allocation; no actor throws',
  ),
  I40: row(
    'forged Raft: huge terms, former lives, gaps, wrong cluster, replays',
    'dropped; a false leader stops the replica instead of overwriting',
  ),
};
