package auditlog

import (
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"tollbook/app/fault"
)

// Node is a hash above the leaves: of the 2^Level leaves from Position*2^Level on.
type Node struct {
	Level    int
	Position int64
	Hash     Hash
}

// Nodes reads hashes by level and position, the leaves' being level 0, in the order
// asked for.
type Nodes func(places []Node) ([]Hash, error)

// ReadHashes implements tlog.HashReader.
func (read Nodes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	places := make([]Node, len(indexes))
	for i, index := range indexes {
		places[i].Level, places[i].Position = tlog.SplitStoredHashIndex(index)
	}
	hashes, err := read(places)
	if err == nil && len(hashes) != len(indexes) {
		err = fmt.Errorf("read %d hashes of the log: got %d", len(indexes), len(hashes))
	}
	return hashes, err
}

// Grow returns the nodes that are complete once leaves are appended to a log of size.
// Each node is complete once and never changes.
func Grow(size int64, leaves []Hash, below Nodes) ([]Node, error) {
	if len(leaves) == 0 {
		return nil, nil
	}
	known, err := edge(size, below)
	if err != nil {
		return nil, err
	}
	var grown []Node
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hash, ok := known[index]
			if !ok {
				return nil, fmt.Errorf("grow log of %d: hash %d is not at its edge", size, index)
			}
			hashes[i] = hash
		}
		return hashes, nil
	})
	for i, leaf := range leaves {
		at := size + int64(i)
		hashes, err := tlog.StoredHashesForRecordHash(at, leaf, reader)
		if err != nil {
			return nil, err
		}
		for level, hash := range hashes {
			known[tlog.StoredHashIndex(level, at>>level)] = hash
			if level > 0 {
				grown = append(grown, Node{level, at >> level, hash})
			}
		}
	}
	return grown, nil
}

// edge is the roots of the perfect trees that a log of a size is made of, by their place
// in tlog's own order: all that growing it needs.
func edge(size int64, below Nodes) (map[int64]Hash, error) {
	var places []Node
	for rest := size; rest > 0; rest &= rest - 1 {
		level := bits.TrailingZeros64(uint64(rest))
		places = append(places, Node{Level: level, Position: rest>>level - 1})
	}
	known := make(map[int64]Hash, len(places))
	if len(places) == 0 {
		return known, nil
	}
	hashes, err := below(places)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		known[tlog.StoredHashIndex(place.Level, place.Position)] = hashes[i]
	}
	return known, nil
}

// RootAt is the root of the log as it was at a size.
func RootAt(size int64, nodes Nodes) (Hash, error) {
	if size == 0 {
		return emptyRoot(), nil
	}
	return tlog.TreeHash(size, nodes)
}

// ProveRecord proves that the leaf at a sequence is in the log of a size.
func ProveRecord(size, sequence int64, nodes Nodes) ([]Hash, error) {
	return tlog.ProveRecord(size, sequence, nodes)
}

// ProveGrowth proves that the log of a size begins with the log of an earlier one.
func ProveGrowth(size, earlier int64, nodes Nodes) ([]Hash, error) {
	if earlier == 0 {
		return nil, nil
	}
	return tlog.ProveTree(size, earlier, nodes)
}

// Growth reads what a log of an earlier size was made of, the largest tree first, and the
// leaves since.
func Growth(size, earlier int64, nodes Nodes) (edge, leaves []Hash, err error) {
	var places []Node
	for rest := earlier; rest > 0; rest &= rest - 1 {
		level := bits.TrailingZeros64(uint64(rest))
		places = append(places, Node{Level: level, Position: rest>>level - 1})
	}
	slices.Reverse(places)
	n := len(places)
	for at := earlier; at < size; at++ {
		places = append(places, Node{Position: at})
	}
	if len(places) == 0 {
		return nil, nil, nil
	}
	hashes, err := nodes(places)
	if err != nil {
		return nil, nil, err
	}
	if len(hashes) != len(places) {
		return nil, nil, fmt.Errorf("read %d hashes of the log: got %d", len(places), len(hashes))
	}
	return hashes[:n], hashes[n:], nil
}

// CheckGrowth checks what ProveGrowth proved.
func CheckGrowth(proof []Hash, size int64, root Hash, earlier int64, before Hash) error {
	if earlier == 0 {
		if before != emptyRoot() || len(proof) > 0 {
			return errUnproved
		}
		return nil
	}
	if err := tlog.CheckTree(proof, size, root, earlier, before); err != nil {
		return errUnproved.Because(err)
	}
	return nil
}

// CheckRecord checks what ProveRecord proved.
func CheckRecord(proof []Hash, size int64, root Hash, sequence int64, leaf Hash) error {
	if err := tlog.CheckRecord(proof, size, root, sequence, leaf); err != nil {
		return errUnproved.Because(err)
	}
	return nil
}

// PathStep is one hash of a record's proof on the way to the root.
type PathStep struct {
	Hash Hash // of what stands beside
	Left bool // it stands before what is proved so far, not after
	Node Hash // of both together
}

// Path walks a record's proof from its leaf up; the last step's node is the root it leads
// to, which is compared with nothing here.
func Path(size, sequence int64, leaf Hash, proof []Hash) []PathStep {
	steps := make([]PathStep, 0, len(proof))
	at, last := sequence, size-1
	for _, beside := range proof {
		step := PathStep{Hash: beside, Left: at&1 == 1 || at == last}
		if step.Left {
			leaf = tlog.NodeHash(beside, leaf)
			for at&1 == 0 && at != 0 { // an edge of the log: it has no neighbor to the right on these levels
				at, last = at>>1, last>>1
			}
		} else {
			leaf = tlog.NodeHash(leaf, beside)
		}
		at, last = at>>1, last>>1
		step.Node = leaf
		steps = append(steps, step)
	}
	return steps
}

var errUnproved = fault.New(fault.KindInvalid, "proof_wrong", "The proof does not lead to the checkpoint's root.")

// ProveSpan returns the hashes of the perfect trees outside of the leaves from one place
// to before another, in their order: with those leaves they make the log's root.
func ProveSpan(size, from, through int64, nodes Nodes) ([]Hash, error) {
	if from < 0 || from > through || through > size {
		return nil, fault.Invalid("from", "span_bounds", "From %d to %d is no part of a log of %d.", from, through, size)
	}
	var places []Node
	walk(0, size, from, through, func(place Node) { places = append(places, place) }, func(int64, int64) {})
	if len(places) == 0 {
		return nil, nil
	}
	return nodes(places)
}

// SpanRoot is the root of a log of a size, of the leaves from one place on and of what
// ProveSpan returned for the rest. The size must be the one that was signed with the
// root: a root alone does not tell a node from a leaf.
func SpanRoot(size, from int64, leaves, outside []Hash) (Hash, error) {
	through := from + int64(len(leaves))
	if from < 0 || through > size {
		return Hash{}, errUnproved
	}
	if size == 0 {
		return emptyRoot(), nil
	}
	var stack []part
	used := 0
	push := func(p part) {
		for len(stack) > 0 && stack[len(stack)-1].to == p.from && sibling(stack[len(stack)-1], p, size) {
			last := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			p = part{last.from, p.to, tlog.NodeHash(last.hash, p.hash)}
		}
		stack = append(stack, p)
	}
	walk(0, size, from, through,
		func(place Node) {
			if used < len(outside) {
				push(part{place.Position << place.Level, (place.Position + 1) << place.Level, outside[used]})
			}
			used++
		},
		func(lo, hi int64) { push(part{lo, hi, Root(leaves[lo-from : hi-from])}) })
	if used != len(outside) || len(stack) != 1 {
		return Hash{}, errUnproved
	}
	return stack[0].hash, nil
}

// part is a subtree of RFC 6962 and its hash.
type part struct {
	from, to int64
	hash     Hash
}

// sibling tells whether two neighbors are the halves of one subtree of a log of a size.
func sibling(left, right part, size int64) bool {
	lo, hi := int64(0), size
	for lo != left.from || hi != right.to {
		if hi-lo < 2 {
			return false
		}
		middle := lo + half(hi-lo)
		switch {
		case right.to <= middle:
			hi = middle
		case left.from >= middle:
			lo = middle
		default:
			return false
		}
	}
	return lo+half(hi-lo) == left.to
}

// half is the largest power of two below n.
func half(n int64) int64 { return 1 << (bits.Len64(uint64(n-1)) - 1) }

// walk visits, in order, the subtrees of a log that are inside from..through, as large
// as they come, and the perfect ones outside.
func walk(lo, hi, from, through int64, outside func(Node), inside func(lo, hi int64)) {
	n := hi - lo
	switch {
	case n == 0:
	case lo >= from && hi <= through:
		inside(lo, hi)
	case (hi <= from || lo >= through) && n&(n-1) == 0:
		level := bits.TrailingZeros64(uint64(n))
		outside(Node{Level: level, Position: lo >> level})
	default:
		middle := lo + half(n)
		walk(lo, middle, from, through, outside, inside)
		walk(middle, hi, from, through, outside, inside)
	}
}

// Frontier is the edge of a log that is read from its beginning, leaf by leaf: enough to
// know its root at each size.
type Frontier struct {
	size  int64
	roots []Hash // of the perfect trees so far, the largest first
}

// Add takes the next leaf and returns the nodes that are complete with it.
func (f *Frontier) Add(leaf Hash) []Node {
	var grown []Node
	for n := f.size; n&1 == 1; n >>= 1 {
		leaf = tlog.NodeHash(f.roots[len(f.roots)-1], leaf)
		f.roots = f.roots[:len(f.roots)-1]
		grown = append(grown, Node{Level: len(grown) + 1, Position: n >> 1, Hash: leaf})
	}
	f.roots = append(f.roots, leaf)
	f.size++
	return grown
}

// Size is how many leaves were added.
func (f *Frontier) Size() int64 { return f.size }

// Root is the root of the leaves so far.
func (f *Frontier) Root() Hash {
	if f.size == 0 {
		return emptyRoot()
	}
	root := f.roots[len(f.roots)-1]
	for i := len(f.roots) - 2; i >= 0; i-- {
		root = tlog.NodeHash(f.roots[i], root)
	}
	return root
}
