package simulator

import (
	"encoding/binary"
	"fmt"
)

// idAlphabet is Crockford's base 32, lower case: ids sort by nothing and mean nothing.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// makeID turns a serial number, which is never used twice, into an id that looks
// like the provider's. The number itself is part of it, so that no seed can make
// two of them equal; the rest depends on the seed.
func makeID(prefix string, seed, serial uint64) string {
	id := make([]byte, 0, len(prefix)+24)
	id = append(id, prefix...)
	id = append(id, "01"...)
	id = appendBase32(id, mix(seed^mix(serial)), 13)
	id = appendBase32(id, serial, 9)

	return string(id)
}

func toolID(seed, serial uint64) string { return makeID("toolu_", seed, serial) }

func appendBase32(id []byte, n uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		id = append(id, idAlphabet[n>>(5*i)&31])
	}

	return id
}

// mix is the finalizer of splitmix64: one to one, and no bit stays where it was.
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb

	return n ^ n>>31
}

// organizationID is the same for every answer of one seed.
func organizationID(seed uint64) string {
	high, low := mix(seed), mix(seed+1)

	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", high>>32, high>>16&0xffff, high&0xfff, low>>48&0xfff, low&0xffffffffffff)
}

func uint64FromDigest(digest [32]byte) uint64 { return binary.BigEndian.Uint64(digest[:8]) }
