package auditlog_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"tollbook/app/auditlog"
)

// grown is a log in memory.
type grown struct {
	leaves []auditlog.Hash
	nodes  map[[2]int64]auditlog.Hash
}

func (g *grown) read(places []auditlog.Node) ([]auditlog.Hash, error) {
	out := make([]auditlog.Hash, len(places))
	for i, p := range places {
		if p.Level == 0 {
			out[i] = g.leaves[p.Position]
			continue
		}
		hash, ok := g.nodes[[2]int64{int64(p.Level), p.Position}]
		if !ok {
			return nil, fmt.Errorf("node %d/%d is not there", p.Level, p.Position)
		}
		out[i] = hash
	}
	return out, nil
}

func (g *grown) add(t require.TestingT, leaves ...auditlog.Hash) {
	nodes, err := auditlog.Grow(int64(len(g.leaves)), leaves, g.read)
	require.NoError(t, err)
	g.leaves = append(g.leaves, leaves...)
	if g.nodes == nil {
		g.nodes = map[[2]int64]auditlog.Hash{}
	}
	for _, n := range nodes {
		g.nodes[[2]int64{int64(n.Level), n.Position}] = n.Hash
	}
}

func leaf(n int) auditlog.Hash { return auditlog.Leaf(fmt.Appendf(nil, "record %d", n)) }

func logOf(t require.TestingT, size int, step int) *grown {
	g := &grown{}
	for len(g.leaves) < size {
		var next []auditlog.Hash
		for i := len(g.leaves); i < min(size, len(g.leaves)+step); i++ {
			next = append(next, leaf(i))
		}
		g.add(t, next...)
	}
	return g
}

// plainRoot is RFC 6962's definition, word for word, and shares nothing with the code.
func plainRoot(records [][]byte) [32]byte {
	switch n := len(records); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, records[0]...))
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		left, right := plainRoot(records[:k]), plainRoot(records[k:])
		return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
	}
}

func TestALogGrowsToTheTreeOfTheStandardInAnyPortions(t *testing.T) {
	t.Parallel()
	var records [][]byte
	var frontier auditlog.Frontier
	for size := range 70 {
		want := auditlog.Hash(plainRoot(records))
		require.Equal(t, want, frontier.Root())
		require.EqualValues(t, size, frontier.Size())
		frontier.Add(leaf(size))
		for _, step := range []int{1, 3, 64} {
			g := logOf(t, size, step)
			root, err := auditlog.RootAt(int64(size), g.read)
			require.NoError(t, err)
			require.Equal(t, want, root, "size %d in steps of %d", size, step)
		}
		records = append(records, fmt.Appendf(nil, "record %d", size))
	}
}

func TestEverySpanMakesTheRoot(t *testing.T) {
	t.Parallel()
	for size := range int64(36) {
		g := logOf(t, int(size), 5)
		want, err := auditlog.RootAt(size, g.read)
		require.NoError(t, err)
		for from := range size + 1 {
			for through := from; through <= size; through++ {
				outside, err := auditlog.ProveSpan(size, from, through, g.read)
				require.NoError(t, err)
				root, err := auditlog.SpanRoot(size, from, g.leaves[from:through], outside)
				require.NoError(t, err)
				require.Equal(t, want, root, "%d to %d of %d", from, through, size)
			}
		}
	}
	g := logOf(t, 9, 9)
	for _, span := range [][2]int64{{-1, 2}, {3, 2}, {0, 10}} {
		_, err := auditlog.ProveSpan(9, span[0], span[1], g.read)
		require.Error(t, err)
	}
}

// TestAnAlteredSpanMakesNoRoot: dropped, swapped, doubled, changed, cut short.
func TestAnAlteredSpanMakesNoRoot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(2, 90).Draw(t, "size")
		g := logOf(t, int(size), 7)
		from := rapid.Int64Range(0, size-1).Draw(t, "from")
		through := rapid.Int64Range(from+1, size).Draw(t, "through")
		outside, err := auditlog.ProveSpan(size, from, through, g.read)
		require.NoError(t, err)
		want, err := auditlog.RootAt(size, g.read)
		require.NoError(t, err)
		leaves := append([]auditlog.Hash{}, g.leaves[from:through]...)
		i := rapid.IntRange(0, len(leaves)-1).Draw(t, "which")
		start := from
		switch rapid.SampledFrom([]string{"change", "drop", "double", "swap", "move", "outside", "longer"}).Draw(t, "how") {
		case "change":
			leaves[i][3] ^= 1
		case "drop":
			leaves = append(leaves[:i], leaves[i+1:]...)
		case "double":
			leaves = append(leaves[:i+1], leaves[i:]...)
		case "swap":
			if j := (i + 1) % len(leaves); j != i {
				leaves[i], leaves[j] = leaves[j], leaves[i]
			} else {
				leaves[i][0] ^= 1
			}
		case "move":
			start++
		case "outside":
			if len(outside) == 0 {
				outside = append(outside, leaf(0))
			} else {
				outside[0][0] ^= 1
			}
		case "longer":
			outside = append(outside, leaf(0))
		}
		root, err := auditlog.SpanRoot(size, start, leaves, outside)
		if err == nil {
			require.NotEqual(t, want, root)
		}
	})
}

func keyPair(t require.TestingT, name string) (note.Signer, note.Verifier, string) {
	secret, public, err := note.GenerateKey(nil, name)
	require.NoError(t, err)
	signer, err := note.NewSigner(secret)
	require.NoError(t, err)
	verifier, err := note.NewVerifier(public)
	require.NoError(t, err)
	return signer, verifier, public
}

func TestProofsOfRecordsAndOfGrowth(t *testing.T) {
	t.Parallel()
	const origin = "books.example/log/ten_1"
	signer, verifier, _ := keyPair(t, origin)
	_, stranger, _ := keyPair(t, origin)
	g := logOf(t, 77, 10)
	root, err := auditlog.RootAt(77, g.read)
	require.NoError(t, err)
	head := auditlog.Checkpoint{Origin: origin, Size: 77, Root: root}
	signed, err := head.Sign(signer)
	require.NoError(t, err)
	trusted := note.VerifierList(verifier)
	for sequence := range int64(77) {
		hashes, err := auditlog.ProveRecord(77, sequence, g.read)
		require.NoError(t, err)
		proof, err := auditlog.ParseProof(auditlog.Proof{Sequence: sequence, Hashes: hashes, Checkpoint: signed}.Text())
		require.NoError(t, err)
		got, err := proof.Check(fmt.Appendf(nil, "record %d", sequence), trusted)
		require.NoError(t, err)
		require.Equal(t, head, got)
		_, err = proof.Check([]byte("another record"), trusted)
		require.Error(t, err)
		_, err = proof.Check(fmt.Appendf(nil, "record %d", sequence), note.VerifierList(stranger))
		require.Error(t, err)
		proof.Sequence = (sequence + 1) % 77
		_, err = proof.Check(fmt.Appendf(nil, "record %d", sequence), trusted)
		require.Error(t, err)
	}
	for earlier := range int64(78) {
		before, err := auditlog.RootAt(earlier, g.read)
		require.NoError(t, err)
		proof, err := auditlog.ProveGrowth(77, earlier, g.read)
		require.NoError(t, err)
		require.NoError(t, auditlog.CheckGrowth(proof, 77, root, earlier, before))
		before[0] ^= 1
		require.Error(t, auditlog.CheckGrowth(proof, 77, root, earlier, before))
	}
}

func TestACheckpointIsAsTheStandardWritesIt(t *testing.T) {
	t.Parallel()
	const origin = "books.example/log/ten_1"
	signer, verifier, _ := keyPair(t, origin)
	c := auditlog.Checkpoint{Origin: origin, Size: 3, Root: leaf(1)}
	signed, err := c.Sign(signer)
	require.NoError(t, err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	require.NoError(t, err, "the stock package opens it")
	require.Equal(t, origin+"\n3\n"+leaf(1).String()+"\n", opened.Text)

	other, otherVerifier, _ := keyPair(t, "else.example")
	forged, err := c.Sign(other)
	require.NoError(t, err)
	_, err = auditlog.OpenCheckpoint(forged, note.VerifierList(verifier, otherVerifier))
	require.Error(t, err, "signed, but not by the log's own key")
	for _, text := range []string{"", "x\n", origin + "\n03\n" + leaf(1).String() + "\n", origin + "\n-1\n" + leaf(1).String() + "\n", origin + "\n3\nAAAA\n", "\n3\n" + leaf(1).String() + "\n"} {
		message, err := note.Sign(&note.Note{Text: text + "\n"}, signer)
		require.NoError(t, err)
		_, err = auditlog.OpenCheckpoint(message, note.VerifierList(verifier))
		require.Error(t, err, "%q", text)
	}
}

func FuzzParseProof(f *testing.F) {
	f.Add([]byte("c2sp.org/tlog-proof@v1\nindex 1\n" + leaf(1).String() + "\n\nx\n1\n" + leaf(2).String() + "\n\n— x AAAA\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		proof, err := auditlog.ParseProof(text)
		if err != nil {
			return
		}
		again, err := auditlog.ParseProof(proof.Text())
		require.NoError(t, err)
		require.Equal(t, proof, again)
	})
}

// TestThePathOfAProofLeadsToTheRoot walks the proof of every record of logs of all sizes.
func TestThePathOfAProofLeadsToTheRoot(t *testing.T) {
	t.Parallel()
	for size := int64(1); size <= 70; size++ {
		g := logOf(t, int(size), 7)
		root, err := auditlog.RootAt(size, g.read)
		require.NoError(t, err)
		for at := range size {
			proof, err := auditlog.ProveRecord(size, at, g.read)
			require.NoError(t, err)
			steps := auditlog.Path(size, at, g.leaves[at], proof)
			require.Len(t, steps, len(proof))
			reached := g.leaves[at]
			for i, step := range steps {
				require.Equal(t, proof[i], step.Hash)
				pair := slices.Concat(reached[:], step.Hash[:])
				if step.Left {
					pair = slices.Concat(step.Hash[:], reached[:])
				}
				require.EqualValues(t, sha256.Sum256(append([]byte{1}, pair...)), step.Node)
				reached = step.Node
			}
			require.Equal(t, root, reached, "record %d of %d", at, size)
		}
	}
}
