package auditlog

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// The files of an export of the log: all that checking it offline needs, but for a key
// that came another way.
const (
	BundleFormat    = "tollbook-log-1"
	FileManifest    = "manifest.json"
	FileRecords     = "records.jsonl"    // canonical bytes, a record a line, in the log's order
	FileLeaves      = "leaves.txt"       // their hashes, a line each
	FileOutside     = "outside.txt"      // hashes of the rest of the log (ProveSpan)
	FileCheckpoint  = "checkpoint.txt"   // the head all of it is checked against
	FileKeys        = "log-keys.txt"     // the log's public keys, as the log itself tells them
	FileReadme      = "README.txt"       // what this is and how to check it, in words
	DirectoryHeads  = "checkpoints"      // earlier heads, named by size
	DirectoryGrowth = "growth"           // for each of them, the proof that the log only grew since
	DirectoryUsage  = "usage"            // canonical bytes of usage batches, named by batch
	maxBundleLine   = maxRecordBytes + 1 // and its end
	maxBundleText   = 16 << 20
	maxHashLine     = 64 // one takes 44, and its end
)

// BundleManifest is what an export says of itself.
type BundleManifest struct {
	Format  string `json:"format"`
	Origin  string `json:"origin"`
	From    int64  `json:"from"`    // the first record's sequence
	Through int64  `json:"through"` // before this one
	Size    int64  `json:"size"`    // of the log at the checkpoint
	Signer  string `json:"signer"`  // where the seed of the log's keys is, as the installation says
	Usage   bool   `json:"usage"`   // the requests of all usage batches, and all adjustments, are there
}

// Where the seed of a log's keys is. Exports of before there was a choice do not say.
const (
	SignerApart     = "apart"
	SignerInProcess = "in_process"
	SignerNone      = "none"
)

// FindingError is the first thing that is wrong.
type FindingError struct {
	Sequence int64 // of the record; -1: it is about no record
	Record   string
	Why      string
}

// Error implements error.
func (f *FindingError) Error() string {
	if f.Sequence < 0 {
		return f.Why
	}
	return fmt.Sprintf("record %d (%s): %s", f.Sequence, f.Record, f.Why)
}

func found(why string, args ...any) *FindingError {
	return &FindingError{Sequence: -1, Why: fmt.Sprintf(why, args...)}
}

// Checked is what a check of an export looked at.
type Checked struct {
	Manifest    BundleManifest
	Records     int64
	Checkpoints int // earlier ones
	Batches     int // of usage or of adjustments, whose files are there
	Absent      int // whose records are there and whose files are not
	Requests    int64
	Root        Hash
	Trusted     bool // a key from elsewhere signed the checkpoint, or one that it vouches for
	Keys        []KeyUse
	Purges      []*PurgeUse // that took something of these records
	Untrusted   int         // earlier heads that no trusted key signed: they are how the log went all the same

	looks []Look
	roots map[int64]Hash // of the heads, by size
}

// Look looks at a record whose bytes are those that the log holds, and returns what is
// wrong with what belongs to it; nothing, if nothing is.
type Look func(sequence int64, canonical []byte) (why string)

// Check checks an export offline. Keys are verifier keys that came another way; with
// none, the export's own are used, which shows that it agrees with itself and not who
// made it. The error is a *FindingError, or the file system's. Looks are told every record
// that is what the log holds, in order, and say what else is wrong with it.
func Check(bundle fs.FS, keys []string, looks ...Look) (Checked, error) {
	c := Checked{Trusted: len(keys) > 0, looks: looks, roots: map[int64]Hash{}}
	if err := c.readManifest(bundle); err != nil {
		return c, err
	}
	story, err := keyStory(bundle)
	if err != nil {
		return c, err
	}
	verifiers, err := c.verifiers(bundle, Trust(keys, story))
	if err != nil {
		return c, err
	}
	c.useKeys(story, Trust(keys, story))
	message, err := readFile(bundle, FileCheckpoint)
	if err != nil {
		return c, err
	}
	head, err := OpenCheckpoint(message, verifiers)
	if err != nil {
		return c, found("%s: %s", FileCheckpoint, err.Error())
	}
	if head.Origin != c.Manifest.Origin || head.Size != c.Manifest.Size {
		return c, found("%s is of another log, or of another size, than the manifest says", FileCheckpoint)
	}
	c.roots[head.Size] = head.Root
	c.signedBy(message, head.Size)
	leaves, err := c.leaves(bundle)
	if err != nil {
		return c, err
	}
	outside, err := hashes(bundle, FileOutside)
	if err != nil {
		return c, err
	}
	if c.Root, err = SpanRoot(c.Manifest.Size, c.Manifest.From, leaves, outside); err != nil || c.Root != head.Root {
		return c, found("the hashes in %s and %s do not make the checkpoint's root: one was changed, left out, added or moved", FileLeaves, FileOutside)
	}
	if err := c.purges(bundle, verifiers, message); err != nil {
		return c, err
	}
	if err := c.records(bundle, leaves); err != nil {
		return c, err
	}
	told := append([]string(nil), keys...)
	for _, key := range story {
		if !slices.Contains(told, key.Verifier) {
			told = append(told, key.Verifier)
		}
	}
	return c, c.heads(bundle, verifiers, told, head)
}

func (c *Checked) readManifest(bundle fs.FS) error {
	text, err := readFile(bundle, FileManifest)
	if err != nil {
		return err
	}
	m := &c.Manifest
	if json.Unmarshal(text, m) != nil || m.Format != BundleFormat || m.From < 0 || m.From > m.Through || m.Through > m.Size {
		return found("%s is not that of an export of the log, version 1", FileManifest)
	}
	return nil
}

func (c *Checked) verifiers(bundle fs.FS, keys []string) (note.Verifiers, error) {
	if len(keys) == 0 {
		text, err := readFile(bundle, FileKeys)
		if err != nil {
			return nil, err
		}
		keys = Lines(text)
	}
	return Verifiers(keys)
}

// leaves are the hashes of the records that should be there.
func (c *Checked) leaves(bundle fs.FS) ([]Hash, error) {
	list, err := hashes(bundle, FileLeaves)
	if err != nil {
		return nil, err
	}
	if int64(len(list)) != c.Manifest.Through-c.Manifest.From {
		return nil, found("%s has %d hashes, but records %d to %d are %d", FileLeaves, len(list), c.Manifest.From, c.Manifest.Through-1, c.Manifest.Through-c.Manifest.From)
	}
	return list, nil
}

// records checks each record's bytes against its leaf, and the usage that is there
// against its record.
func (c *Checked) records(bundle fs.FS, leaves []Hash) error {
	usage, err := usageFiles(bundle)
	if err != nil {
		return err
	}
	file, err := bundle.Open(FileRecords)
	if err != nil {
		return found("%s is missing", FileRecords)
	}
	defer file.Close()
	lines := scanLines(file, maxBundleLine)
	for i, leaf := range leaves {
		sequence := c.Manifest.From + int64(i)
		if !lines.Scan() {
			return errors.Join(lines.Err(), &FindingError{sequence, "", "it is missing: " + FileRecords + " ends before"})
		}
		if gone := c.took("audit", leaf); len(lines.Bytes()) == 0 && gone != nil {
			c.Records++
			gone.Records++
			continue
		}
		read := readRecord(lines.Bytes())
		if Leaf(lines.Bytes()) != leaf {
			return &FindingError{sequence, read.ID, "its bytes are not those that the log holds"}
		}
		c.Records++
		for _, look := range c.looks {
			if why := look(sequence, lines.Bytes()); why != "" {
				return &FindingError{sequence, read.ID, why}
			}
		}
		if read.Action != UsageBatch && read.Action != AdjustmentBatch {
			continue
		}
		if !usage[read.Subject] {
			if c.tookRequests(&read) {
				continue
			}
			if c.Manifest.Usage {
				return &FindingError{sequence, read.ID, path.Join(DirectoryUsage, read.Subject+".jsonl") + " is missing"}
			}
			c.Absent++ // nothing signs the manifest: what is not here is said either way
			continue
		}
		delete(usage, read.Subject)
		if why := c.batch(bundle, &read); why != "" {
			return &FindingError{sequence, read.ID, why}
		}
	}
	if lines.Scan() {
		return found("%s goes on after the last record", FileRecords)
	}
	for batch := range usage {
		return found("%s belongs to no record of this export", path.Join(DirectoryUsage, batch+".jsonl"))
	}
	return lines.Err()
}

// recordHead is what a check needs of a record's canonical bytes.
type recordHead struct {
	ID      string `json:"id"`
	Action  string `json:"action"`
	Subject string `json:"subject"`
	Detail  struct {
		Root     string `json:"root"`
		Requests int64  `json:"requests"`
	} `json:"detail"`
}

// readRecord reads what it can: details of other records have other forms.
func readRecord(canonical []byte) recordHead {
	var head recordHead
	if json.Unmarshal(canonical, &head) == nil {
		return head
	}
	var less struct{ ID, Action, Subject string }
	_ = json.Unmarshal(canonical, &less) // bytes that are no record have another hash anyway
	return recordHead{ID: less.ID, Action: less.Action, Subject: less.Subject}
}

// batch checks the requests of one usage batch, or the adjustments of one of those, against
// the root its record holds.
func (c *Checked) batch(bundle fs.FS, read *recordHead) string {
	name := path.Join(DirectoryUsage, read.Subject+".jsonl")
	file, err := bundle.Open(name)
	if err != nil {
		return name + " cannot be read: " + err.Error()
	}
	defer file.Close()
	var tree Frontier
	lines := scanLines(file, maxBundleLine)
	for lines.Scan() {
		if tree.Size() == read.Detail.Requests {
			return fmt.Sprintf("%s has more requests than the %d that the record says", name, read.Detail.Requests)
		}
		tree.Add(Leaf(lines.Bytes()))
	}
	if err := lines.Err(); err != nil {
		return name + " cannot be read: " + err.Error()
	}
	if tree.Size() != read.Detail.Requests {
		return fmt.Sprintf("%s has %d requests, but the record says %d", name, tree.Size(), read.Detail.Requests)
	}
	root := tree.Root()
	if hex.EncodeToString(root[:]) != read.Detail.Root {
		return "the requests in " + name + " are not those whose root the record holds"
	}
	c.Batches++
	if read.Action == UsageBatch {
		c.Requests += tree.Size()
	}
	return ""
}

func usageFiles(bundle fs.FS) (map[string]bool, error) {
	entries, err := fs.ReadDir(bundle, DirectoryUsage)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files := make(map[string]bool, len(entries))
	for _, entry := range entries {
		files[strings.TrimSuffix(entry.Name(), ".jsonl")] = true
	}
	return files, nil
}

// heads checks that every earlier checkpoint is signed and that the log only grew since. One
// that only a key signed which nobody trusted vouches for is counted.
func (c *Checked) heads(bundle fs.FS, verifiers note.Verifiers, told []string, last Checkpoint) error {
	known, err := Verifiers(told)
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(bundle, DirectoryHeads)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		name := path.Join(DirectoryHeads, entry.Name())
		message, err := readFile(bundle, name)
		if err != nil {
			return err
		}
		head, err := OpenCheckpoint(message, verifiers)
		if err != nil {
			c.Untrusted++
			if head, err = OpenCheckpoint(message, known); err != nil {
				return found("%s: %s", name, err.Error())
			}
		}
		if head.Origin != last.Origin || strconv.FormatInt(head.Size, 10)+".txt" != entry.Name() {
			return found("%s is of another log or size than its name says", name)
		}
		proof, err := hashes(bundle, path.Join(DirectoryGrowth, entry.Name()))
		if err != nil {
			return err
		}
		if err := CheckGrowth(proof, last.Size, last.Root, head.Size, head.Root); err != nil {
			return found("the log at %d records is no beginning of the log at %d: what was signed then was changed since, or the proof is wrong", head.Size, last.Size)
		}
		c.Checkpoints++
		c.roots[head.Size] = head.Root
		c.signedBy(message, head.Size)
	}
	return nil
}

// hashes reads a file of hashes, a line each, as far as its lines are hashes.
func hashes(bundle fs.FS, name string) ([]Hash, error) {
	file, err := bundle.Open(name)
	if err != nil {
		return nil, found("%s is missing", name)
	}
	defer file.Close()
	bound := int64(maxBundleText)
	if name == FileLeaves || strings.HasPrefix(name, DirectoryPurged+"/") {
		bound = maxLeavesBytes
	}
	limited := &io.LimitedReader{R: file, N: bound + 1}
	lines := scanLines(limited, maxHashLine)
	var list []Hash
	at := 0
	for lines.Scan() {
		if at++; len(lines.Bytes()) == 0 {
			continue
		}
		hash, err := parseHash(lines.Text())
		if err != nil {
			return nil, found("%s, line %d, is no hash", name, at)
		}
		list = append(list, hash)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, found("%s, line %d, is no hash", name, at+1)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case limited.N <= 0:
		return nil, found("%s is longer than it can be", name)
	}
	return list, nil
}

// scanLines reads lines of less than a bound.
func scanLines(r io.Reader, bound int) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, bound)
	lines.Split(splitLine)
	return lines
}

// splitLine splits at a line's end and takes nothing else away: bufio.ScanLines would drop
// a carriage return, and bytes with one more are not those that were hashed.
func splitLine(text []byte, last bool) (advance int, line []byte, err error) {
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		return end + 1, text[:end], nil
	}
	if last && len(text) > 0 {
		return len(text), text, nil
	}
	return 0, nil, nil
}

// Lines are a text's lines, but the empty ones.
func Lines(text []byte) []string {
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

func readFile(bundle fs.FS, name string) ([]byte, error) {
	file, err := bundle.Open(name)
	if err != nil {
		return nil, found("%s is missing", name)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBundleText+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxBundleText {
		return nil, found("%s is longer than it can be", name)
	}
	return text, nil
}

// maxLeavesBytes is ten million hashes of 44 characters and a line's end.
const maxLeavesBytes = 450 << 20
