package auditlog

import (
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tollbook/app/fault"
)

// Checkpoint is a log's head: at this size it had this root. Its text is C2SP's
// tlog-checkpoint; tlog's own FormatTree writes another first line.
type Checkpoint struct {
	Origin string // names the log, and the key that signs it
	Size   int64  // records
	Root   Hash
}

const maxCheckpointBytes = 64 << 10

var errCheckpoint = fault.New(fault.KindInvalid, "checkpoint_syntax", "This is no checkpoint: it must have an origin, a size, a root and a signature.")

// Text is what is signed.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + c.Root.String() + "\n"
}

// Sign returns the checkpoint as a signed note.
func (c Checkpoint) Sign(signers ...note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.Text()}, signers...)
}

// OpenCheckpoint checks the signatures of keys it is given and reads the checkpoint. A
// note that none of them signed is refused, and so is one of another origin than the
// key's name.
func OpenCheckpoint(message []byte, verifiers note.Verifiers) (Checkpoint, error) {
	if len(message) > maxCheckpointBytes {
		return Checkpoint{}, errCheckpoint
	}
	opened, err := note.Open(message, verifiers)
	if err != nil {
		return Checkpoint{}, fault.New(fault.KindInvalid, "checkpoint_unsigned", "No key that is trusted here signed this checkpoint.").Because(err)
	}
	c, err := parseCheckpoint(opened.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	for _, signature := range opened.Sigs {
		if signature.Name == c.Origin {
			return c, nil
		}
	}
	return Checkpoint{}, fault.New(fault.KindInvalid, "checkpoint_unsigned", "This checkpoint is not signed by the key of its own log.")
}

func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, errCheckpoint
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, errCheckpoint
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return Checkpoint{}, errCheckpoint.Because(err)
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// parseHash reads base64 as it is written, with nothing left over.
func parseHash(text string) (Hash, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != tlog.HashSize {
		return Hash{}, fault.New(fault.KindInvalid, "hash_syntax", "A hash is 32 bytes in base64.")
	}
	return Hash(raw), nil
}

// Proof says that a record is in a log: C2SP's tlog-proof, self-contained and checked
// offline.
type Proof struct {
	Sequence   int64
	Hashes     []Hash
	Checkpoint []byte // signed
}

const (
	proofHead      = "c2sp.org/tlog-proof@v1\n"
	maxProofHashes = 64
)

var errProof = fault.New(fault.KindInvalid, "proof_syntax", "This is no proof of a record: it must be a tlog-proof, version 1.")

// Text is the proof as a file.
func (p Proof) Text() []byte {
	var b strings.Builder
	b.WriteString(proofHead + "index " + strconv.FormatInt(p.Sequence, 10) + "\n")
	for _, h := range p.Hashes {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n")
	b.Write(p.Checkpoint)
	return []byte(b.String())
}

// ParseProof reads a proof's file; what it says is not checked.
func ParseProof(text []byte) (Proof, error) {
	head, checkpoint, ok := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(text) > maxCheckpointBytes || len(lines) < 2 || lines[0]+"\n" != proofHead {
		return Proof{}, errProof
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if len(lines) == 0 || len(lines) > maxProofHashes+1 {
		return Proof{}, errProof
	}
	number, ok := strings.CutPrefix(lines[0], "index ")
	sequence, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || sequence < 0 || strconv.FormatInt(sequence, 10) != number {
		return Proof{}, errProof
	}
	p := Proof{Sequence: sequence, Checkpoint: []byte(checkpoint)}
	for _, line := range lines[1:] {
		hash, err := parseHash(line)
		if err != nil {
			return Proof{}, errProof.Because(err)
		}
		p.Hashes = append(p.Hashes, hash)
	}
	return p, nil
}

// Check checks that a record with these canonical bytes is where the proof says, in a
// log whose head one of the keys signed.
func (p Proof) Check(canonical []byte, verifiers note.Verifiers) (Checkpoint, error) {
	head, err := OpenCheckpoint(p.Checkpoint, verifiers)
	if err != nil {
		return head, err
	}
	return head, CheckRecord(p.Hashes, head.Size, head.Root, p.Sequence, Leaf(canonical))
}
