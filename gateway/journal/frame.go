package journal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"

	"github.com/google/uuid"
)

// Kind says what a record is.
type Kind uint8

// The kinds of records a journal delivers.
const (
	Intent  Kind = 1
	Outcome Kind = 2

	kindSegment Kind = 3 // never delivered
)

// String is the kind's name as shown to an operator.
func (k Kind) String() string {
	switch k {
	case Intent:
		return "intent"
	case Outcome:
		return "outcome"
	case kindSegment:
		return "segment"
	}
	return "unknown"
}

// MaxPayload bounds one record's payload, in bytes.
const MaxPayload = 256 << 10

const (
	formatVersion = 1
	headBytes     = 36
	crcBytes      = 4
	chainBytes    = 16
	frameBytes    = headBytes + crcBytes + chainBytes // without its payload
	openingBytes  = 4 + 16 + 8 + chainBytes           // a segment header's payload
)

type chain [chainBytes]byte

// sealer makes and checks frames. It is not safe for concurrent use.
type sealer struct {
	mac   hash.Hash // nil when the key is not known: then only checksums are checked
	table *crc32.Table
	// Scratch that lives here because what an interface is given escapes.
	previous chain
	sum      [sha256.Size]byte
}

func newSealer(key []byte) *sealer {
	s := &sealer{table: crc32.MakeTable(crc32.Castagnoli)}
	if key != nil {
		s.mac = hmac.New(sha256.New, key)
	}
	return s
}

// append adds one frame to dst and returns it with the frame's chain value.
func (s *sealer) append(dst []byte, previous chain, kind Kind, position Position, id ID, payload []byte) ([]byte, chain) {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, byte(kind), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(position))
	dst = append(dst, id[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], s.table))
	dst = append(dst, payload...)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(payload, s.table))
	next := s.chain(previous, dst[start:])
	return append(dst, next[:]...), next
}

func (s *sealer) chain(previous chain, covered []byte) chain {
	s.mac.Reset()
	s.previous = previous
	s.mac.Write(s.previous[:])
	s.mac.Write(covered)
	return chain(s.mac.Sum(s.sum[:0])[:chainBytes])
}

// head is a frame's checked first part.
type head struct {
	payload  int
	kind     Kind
	position Position
	id       ID
}

// open reads a frame's head and says what is wrong with it, if anything is.
func (s *sealer) open(b []byte) (head, string) {
	if crc32.Checksum(b[:headBytes-crcBytes], s.table) != binary.LittleEndian.Uint32(b[headBytes-crcBytes:]) {
		return head{}, "head checksum"
	}
	n := binary.LittleEndian.Uint32(b)
	h := head{
		payload:  int(n),
		kind:     Kind(b[4]),
		position: Position(binary.LittleEndian.Uint64(b[8:])),
		id:       ID(b[16:32]),
	}
	switch {
	case n > MaxPayload:
		return head{}, "payload length"
	case h.kind < Intent || h.kind > kindSegment:
		return head{}, "unknown kind"
	case b[5]|b[6]|b[7] != 0:
		return head{}, "reserved bytes"
	}
	return h, ""
}

const reasonChain = "chain: altered, or written with another key"

// check verifies a whole frame behind a checked head, and returns its chain value.
func (s *sealer) check(frame []byte, previous chain) (chain, string) {
	covered := frame[:len(frame)-chainBytes]
	body := len(covered) - crcBytes
	if crc32.Checksum(covered[headBytes:body], s.table) != binary.LittleEndian.Uint32(covered[body:]) {
		return chain{}, "payload checksum"
	}
	got := chain(frame[len(covered):])
	if s.mac == nil {
		return got, ""
	}
	if want := s.chain(previous, covered); !hmac.Equal(want[:], got[:]) {
		return chain{}, reasonChain
	}
	return got, ""
}

// opening is a segment header's payload.
type opening struct {
	replica  uuid.UUID
	number   uint64
	previous chain
}

func (o opening) bytes() []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, openingBytes), formatVersion)
	b = append(b, o.replica[:]...)
	b = binary.LittleEndian.AppendUint64(b, o.number)
	return append(b, o.previous[:]...)
}

func parseOpening(b []byte) (opening, string) {
	if len(b) != openingBytes {
		return opening{}, "segment header length"
	}
	if binary.LittleEndian.Uint32(b) != formatVersion {
		return opening{}, "format version"
	}
	return opening{
		replica:  uuid.UUID(b[4:20]),
		number:   binary.LittleEndian.Uint64(b[20:28]),
		previous: chain(b[28:]),
	}, ""
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
