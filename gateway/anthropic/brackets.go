package anthropic

import "math/bits"

// A request's conversation is a megabyte of quoted code in the worst case, with a quote
// or a backslash every dozen bytes: looking from one to the next costs a mispredicted
// branch each. Where the processor can, 64 bytes are looked at together and only the
// brackets that count are visited one by one.

// marks has a bit for each byte of a block, the first byte's the lowest.
type marks struct {
	brackets uint64 // outside of strings
	strays   uint64 // backslashes outside of strings, where JSON has none
}

// lexis is what of the bytes before decides what the next one is: 1 if a backslash
// escapes it, and all ones if it is in a string.
type lexis [2]uint64

const (
	blockBytes = 64
	mostBlocks = 64 // looked at together
)

// opened is the brackets that are open: a bit each, set for an object's.
type opened struct {
	objects [maxDepth / 64]uint64
	depth   int
}

// pass takes a bracket and says whether it fits.
func (o *opened) pass(bracket byte) bool {
	if bracket == '{' || bracket == '[' {
		if o.depth == maxDepth {
			return false
		}
		bit := uint64(1) << (o.depth % 64)
		o.objects[o.depth/64] &^= bit
		if bracket == '{' {
			o.objects[o.depth/64] |= bit
		}
		o.depth++
		return true
	}
	o.depth-- // never below 0: the first bracket opened one
	return o.objects[o.depth/64]>>(o.depth%64)&1 == 1 == (bracket == '}')
}

// nestedByBlocks is nested, many bytes at a time.
func (s *scanner) nestedByBlocks() bool {
	var open opened
	var at lexis
	var found [mostBlocks]marks
	for blocks := 4; s.i < len(s.b); blocks = min(4*blocks, mostBlocks) {
		rest := s.b[s.i:]
		n := min(len(rest)/blockBytes, blocks)
		if n == 0 {
			var last [blockBytes]byte
			copy(last[:], rest)
			rest, n = last[:], 1
		}
		classify(&rest[0], n, &found[0], &at)
		for i := range n {
			if found[i] == (marks{}) {
				continue
			}
			end, ok := open.block(rest[i*blockBytes:(i+1)*blockBytes], found[i])
			if end >= 0 {
				s.i += i*blockBytes + end
				return ok
			}
		}
		s.i = min(s.i+n*blockBytes, len(s.b))
	}
	return false
}

// block passes the marked bytes of a block. It returns -1 if they end nothing;
// otherwise where the value ends, or where it is broken.
func (o *opened) block(b []byte, m marks) (int, bool) {
	for both := m.brackets | m.strays; both != 0; both &= both - 1 {
		i := bits.TrailingZeros64(both)
		if b[i] == '\\' || !o.pass(b[i]) {
			return i, false
		}
		if o.depth == 0 {
			return i + 1, true
		}
	}
	return -1, false
}
