package packet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"tollbook/app/auditlog"
	"tollbook/app/export"
	"tollbook/app/id"
	"tollbook/app/money"
)

// maxFile bounds one file of a packet that is verified.
const maxFile = MaxBytes

// BadError is the first file of a packet that is wrong.
type BadError struct {
	File string
	Why  string
}

// Error implements error.
func (b *BadError) Error() string { return b.File + ": " + b.Why }

func bad(file, why string, args ...any) *BadError {
	return &BadError{File: file, Why: fmt.Sprintf(why, args...)}
}

// Checked is what a verification looked at.
type Checked struct {
	Manifest Manifest
	Head     auditlog.Checkpoint
	Sequence int64  // of the record that seals the manifest
	Record   string // its id
	Trusted  bool   // a key from elsewhere signed the head, or one that it vouches for
	Journal  bool   // there is one, and it balances
	Debits   money.Cents
	Figures  bool     // every file that was laid out here was made again from the figures, and is the same
	Other    []string // but these, which another version laid out
}

// Is tells whether an archive is a packet, by what its manifest says it is.
func Is(bundle fs.FS) bool {
	document, err := read(bundle, FileManifest)
	if err != nil {
		return false
	}
	var m struct {
		Format string `json:"format"`
	}
	return json.Unmarshal(document, &m) == nil && m.Format == Format
}

// Check verifies a packet offline: every file is in the manifest with its digest and
// nothing else is there, the manifest is the one that a record of the log holds, that record
// is in the log under a signed head, and the journal balances and comes to what the manifest
// says. Keys came another way; with none, the packet's own are used. The error is a
// *BadError, or the file system's.
func Check(bundle fs.FS, keys []string) (Checked, error) {
	c := Checked{Trusted: len(keys) > 0}
	document, err := read(bundle, FileManifest)
	if err != nil {
		return c, err
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c.Manifest); err != nil || c.Manifest.Format != Format {
		return c, bad(FileManifest, "it is not the manifest of a packet, version 1")
	}
	if err := c.seal(bundle, document, keys); err != nil {
		return c, err
	}
	if err := c.files(bundle); err != nil {
		return c, err
	}
	if err := c.sums(bundle); err != nil {
		return c, err
	}
	return c, c.reread(bundle)
}

// files checks that what is there is what the manifest names, byte for byte.
func (c *Checked) files(bundle fs.FS) error {
	named := map[string]*export.Manifest{}
	for i := range c.Manifest.Contents {
		m := &c.Manifest.Contents[i]
		if named[m.File] != nil || reserved(m.File) {
			return bad(FileManifest, "it names %.100q twice", m.File)
		}
		named[m.File] = m
	}
	err := fs.WalkDir(bundle, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return bad(name, "%s", err.Error())
		}
		if entry.IsDir() || reserved(name) {
			return nil
		}
		m := named[name]
		if m == nil {
			return bad(name, "the manifest does not name it")
		}
		content, err := read(bundle, name)
		if err != nil {
			return err
		}
		if digest := sha256.Sum256(content); hex.EncodeToString(digest[:]) != m.SHA256 || len(content) != m.Bytes {
			return bad(name, "its bytes are not those whose SHA-256 the manifest holds")
		}
		delete(named, name)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range c.Manifest.Contents {
		if m := &c.Manifest.Contents[i]; named[m.File] != nil {
			return bad(m.File, "it is missing: the manifest names it")
		}
	}
	return nil
}

// sealing is what a check needs of the record that seals a manifest.
type sealing struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Tenant string `json:"tenant"`
	Detail struct {
		Manifest string `json:"manifest_sha256"`
	} `json:"detail"`
}

// seal checks the manifest against its record, and the record against the log.
func (c *Checked) seal(bundle fs.FS, document []byte, keys []string) error {
	texts := map[string][]byte{}
	for _, name := range []string{FileRecord, FileProof, FileCheckpoint, FileKeys, FileKeyStory} {
		text, err := read(bundle, name)
		if err != nil {
			return err
		}
		texts[name] = text
	}
	var record sealing
	if json.Unmarshal(texts[FileRecord], &record) != nil || record.Action != Action {
		return bad(FileRecord, "it is not the record of a packet")
	}
	digest := sha256.Sum256(document)
	if hex.EncodeToString(digest[:]) != record.Detail.Manifest {
		return bad(FileManifest, "it is not the manifest whose SHA-256 the log’s record %s holds", record.ID)
	}
	tenant, err := id.ParseTenant(c.Manifest.TenantID)
	if err != nil || record.Tenant != c.Manifest.TenantID {
		return bad(FileRecord, "it is of another company than the manifest")
	}
	trusted, err := trust(texts, keys)
	if err != nil {
		return err
	}
	verifiers, err := auditlog.Verifiers(trusted)
	if err != nil {
		return bad(FileKeys, "it holds no key that can be read")
	}
	proof, err := auditlog.ParseProof(texts[FileProof])
	if err != nil {
		return bad(FileProof, "it is no proof of a record")
	}
	if !bytes.Equal(proof.Checkpoint, texts[FileCheckpoint]) {
		return bad(FileCheckpoint, "it is not the head that the proof is for")
	}
	if c.Head, err = auditlog.OpenCheckpoint(texts[FileCheckpoint], verifiers); err != nil {
		return bad(FileCheckpoint, "no key that is trusted here signed it")
	}
	if c.Head.Origin != auditlog.Origin(tenant) {
		return bad(FileCheckpoint, "it is the head of another log")
	}
	if _, err := proof.Check(texts[FileRecord], verifiers); err != nil {
		return bad(FileProof, "the record is not at this place of the log: it, or the proof, was changed")
	}
	c.Sequence, c.Record = proof.Sequence, record.ID
	return nil
}

// trust are the keys that came another way with those of the packet that they vouch for, or,
// without any, the packet's own.
func trust(texts map[string][]byte, keys []string) ([]string, error) {
	var story []auditlog.PublicKey
	if json.Unmarshal(texts[FileKeyStory], &story) != nil {
		return nil, bad(FileKeyStory, "it is no list of a log's keys")
	}
	if canonical, err := StoryOf(story); err != nil || !bytes.Equal(canonical, texts[FileKeyStory]) {
		return nil, bad(FileKeyStory, "it is not written as a list of a log's keys is")
	}
	own := []string{}
	for _, key := range story {
		if _, named := auditlog.Endorser(key, own); !named && len(key.Endorsed) > 0 {
			return nil, bad(FileKeyStory, "no key before signed what %.40q says one did", key.Verifier)
		}
		own = append(own, key.Verifier)
	}
	if !bytes.Equal(keyLines(own), texts[FileKeys]) {
		return nil, bad(FileKeys, "its keys are not those that %s tells of", FileKeyStory)
	}
	if len(keys) == 0 {
		return own, nil
	}
	return auditlog.Trust(keys, story), nil
}

// sums checks that the files agree on what the month came to, and that the journal balances.
func (c *Checked) sums(bundle fs.FS) error {
	totals := map[string]string{}
	for _, p := range c.Manifest.Controls {
		totals[p.Name] = p.Value
	}
	for i := range c.Manifest.Contents {
		m := &c.Manifest.Contents[i]
		for _, p := range m.ControlTotals {
			if value, there := totals[p.Name]; there && value != p.Value {
				return bad(m.File, "its control total %s is %s, and the packet’s is %s", p.Name, p.Value, value)
			}
		}
	}
	file, err := read(bundle, FileJournal)
	if err != nil {
		if _, named := totals["entries"]; named {
			return bad(FileJournal, "it is missing, and the manifest says what it comes to")
		}
		return nil // a part of the company has none
	}
	debits, credits, why := balance(file)
	switch {
	case why != "":
		return bad(FileJournal, "%s", why)
	case debits.String() != totals["debits_usd"] || credits.String() != totals["credits_usd"]:
		return bad(FileJournal, "it comes to debits of %s and credits of %s, and the manifest says %s and %s", debits, credits, totals["debits_usd"], totals["credits_usd"])
	}
	c.Journal, c.Debits = true, debits
	return nil
}

// Words are what was checked, in words that can be filed.
func (c *Checked) Words() string {
	var b bytes.Buffer
	say := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(&b, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	m := &c.Manifest
	scope := "the whole company"
	if m.Scope != nil {
		scope = m.Scope.Code + " and all below it"
	}
	say("Packet", "%s (%s), %s, %s, revision %d, %s", m.Company, m.Tenant, m.Period, scope, m.Revision, Mark(m.State, m.Corrected))
	if m.Corrects != nil {
		say("Corrects", "revision %d, %s, whose manifest is %s", m.Corrects.Revision, m.Corrects.Packet, m.Corrects.Manifest)
	}
	say("Built", "%s by %s, Tollbook %s", m.BuiltAt.Format("2006-01-02 15:04:05 UTC"), runBy(m.RunBy), m.CodeVersion)
	say("Files", "%d: each byte for byte what the manifest says, none missing, none added", len(m.Contents))
	for i := range m.Contents {
		say("", "%s  %s", m.Contents[i].SHA256, m.Contents[i].File)
	}
	for _, p := range m.Controls {
		say("Total", "%s %s", p.Name, p.Value)
	}
	if c.Journal {
		say("Journal", "balances in each entry, entity and currency: %s debits, as much in credits", c.Debits)
	} else {
		say("Journal", "none: a packet of a part of the company has none")
	}
	switch {
	case !c.Figures:
		say("Figures", "are not in the packet: its files were held to their digests and sums alone")
	case len(c.Other) > 0:
		say("Figures", "tie to one another; laid out by another version and not read again: %s", strings.Join(c.Other, ", "))
	default:
		say("Figures", "tie to one another, and every file says what they say: each was made again")
	}
	for _, l := range m.LeftOut {
		say("Left out", "%s, %d bytes, %s: %s", l.File, l.Bytes, l.SHA256, l.Where)
	}
	say("Manifest", "is the one whose SHA-256 record %d of the log holds (%s)", c.Sequence, c.Record)
	say("Signed head", "%d records, root %s: the record is in it", c.Head.Size, c.Head.Root)
	if c.Trusted {
		say("Keys", "from --log-keys: whoever holds the log's secret key signed this head")
	} else {
		say("Keys", "from the packet itself: it agrees with itself, which does not tell who made it;")
		say("", "give the log's key as you got it another way with --log-keys FILE")
	}
	if m.State == Draft {
		say("State", "DRAFT: the month was not closed, and its figures could still change")
	}
	return b.String()
}

func read(bundle fs.FS, name string) ([]byte, error) {
	file, err := bundle.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, bad(name, "it is missing")
		}
		return nil, bad(name, "it cannot be read: %s", err.Error())
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, bad(name, "it cannot be read: %s", err.Error())
	}
	if len(content) > maxFile {
		return nil, bad(name, "it is longer than %s bytes", strconv.Itoa(maxFile))
	}
	return content, nil
}
