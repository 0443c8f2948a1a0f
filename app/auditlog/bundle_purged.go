package auditlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// The files of a purge that took something of an export's records, named by the purge's own
// record: that record, its place in the log, and the hashes that its digest covers.
const (
	DirectoryPurged = "purged"
	SuffixRecord    = ".json"
	SuffixProof     = ".tlog-proof"
	SuffixHashes    = ".txt"
)

// PurgeUse is a purge that took something which the records of an export tell of.
type PurgeUse struct {
	Purge

	Sequence int64 // of its record
	Batches  int   // of this export whose requests it took
	Records  int   // of this export whose bytes it took
	hashes   map[Hash]bool
}

// purges reads the purges an export tells of, and holds each to the log.
func (c *Checked) purges(bundle fs.FS, verifiers note.Verifiers, head []byte) error {
	entries, err := fs.ReadDir(bundle, DirectoryPurged)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		base, record := strings.CutSuffix(entry.Name(), SuffixRecord)
		if !record {
			continue
		}
		use, err := readPurge(bundle, path.Join(DirectoryPurged, base), verifiers, head)
		if err != nil {
			return err
		}
		c.Purges = append(c.Purges, use)
	}
	return nil
}

func readPurge(bundle fs.FS, base string, verifiers note.Verifiers, head []byte) (*PurgeUse, error) {
	canonical, errRecord := readFile(bundle, base+SuffixRecord)
	text, errProof := readFile(bundle, base+SuffixProof)
	list, errHashes := hashes(bundle, base+SuffixHashes)
	if err := errors.Join(errRecord, errProof, errHashes); err != nil {
		return nil, found("%s: %s", base, err.Error())
	}
	proof, err := ParseProof(text)
	if err == nil && !bytes.Equal(proof.Checkpoint, head) {
		err = errors.New("it is of another head than this export's")
	}
	if err == nil {
		_, err = proof.Check(canonical, verifiers)
	}
	if err != nil {
		return nil, found("the place in the log of the purge in %s is not proved: %s", base, err.Error())
	}
	var said struct {
		Action string
		Detail Purge
	}
	if json.Unmarshal(canonical, &said) != nil || said.Action != Purged {
		return nil, found("what %s proves to be in the log is no purge", base)
	}
	use := &PurgeUse{Purge: said.Detail, Sequence: proof.Sequence, hashes: make(map[Hash]bool, len(list))}
	digest := sha256.New()
	for _, h := range list {
		_, _ = digest.Write(h[:])
		use.hashes[h] = true
	}
	if hex.EncodeToString(digest.Sum(nil)) != use.Digest {
		return nil, found("%s: the hashes are not those whose digest Change %d left", base, use.Number)
	}
	return use, nil
}

// took finds the purge of a class that took what a hash stands for.
func (c *Checked) took(class string, hash Hash) *PurgeUse {
	for _, use := range c.Purges {
		if use.Class == class && use.hashes[hash] {
			return use
		}
	}
	return nil
}

// tookRequests tells whether a purge took the requests of a batch, and counts it.
func (c *Checked) tookRequests(read *recordHead) bool {
	root, err := hex.DecodeString(read.Detail.Root)
	if err != nil || len(root) != len(Hash{}) {
		return false
	}
	use := c.took("usage", Hash(root))
	if use != nil {
		use.Batches++
	}
	return use != nil
}
