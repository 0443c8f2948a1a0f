// Package journal is a gateway's durable local record of requests: what it
// meant to do (intents) and what came of it (outcomes), kept until the ledger
// has them.
//
// It owns the directory of one replica, the frames in it, their checksums and
// chain, group commit, and the adoption of what a dead replica left. It does
// not own what a payload means, or the ledger that releases it.
//
// Invariants: an intent whose append returned is in the kernel; an outcome is there
// with the next sync or intent; a Sync that returned is on the disk; after one failed write or sync nothing succeeds again, but a disk
// without room is found before anything is written and is no failure; a segment
// goes only when every intent in it and before it is released; what is read
// back is a prefix of what was written, or an error that names where it broke.
//
// Layout: ROOT/<uuid v4>/ holds "lock" (flock, held for life) and segments
// 00000001.seg, 00000002.seg, … A directory is made as .new-<uuid> and goes as
// .gone-<uuid>, so that a name without a dot is always whole. A segment is
// synced before the next one is begun. Its file is filled with zeros ahead of its
// records, so that a sync changes no file size; zeros may follow the last record.
// Frames, little-endian:
//
//	 0  4  n, bytes of payload, at most MaxPayload
//	 4  1  kind: 1 intent, 2 outcome, 3 segment header
//	 5  3  zero
//	 8  8  position, 1 and up without gaps; in a segment header that of the first record after it
//	16 16  event id; zero in a segment header
//	32  4  CRC32C of bytes 0 to 31, so that a bad length is no torn tail
//	36  n  payload
//	 +  4  CRC32C of the payload
//	 + 16  chain: HMAC-SHA256(key, previous chain ‖ everything above), cut to 16
//
// A segment header's payload is: format version (4 bytes, 1), replica (16),
// segment number (8), the previous segment's last chain value (16, zero in
// number 1). It is chained on that stated value, so that a retained suffix of
// segments verifies by itself. What no local record can show is a tail that was
// cut off whole; positions are dense, so the ledger shows that gap.
//
// Words: intent, outcome, position, segment, release, orphan (a directory whose
// owner is dead), torn (cut short by a crash, never synced).
package journal
