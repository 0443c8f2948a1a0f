package packet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/export"
	"tollbook/app/fault"
)

// Format names the layout of a packet's manifest.
const Format = "tollbook packet 1"

// The files of every packet.
const (
	FileManifest   = "manifest.json"
	FileSummary    = "summary.pdf"
	FileCommentary = "commentary.md"
	FileVerify     = "VERIFY.txt"
)

// The seal: what the log says of a manifest. The manifest cannot name it, being part of it.
const (
	FileRecord     = "manifest.record.json" // the record's canonical bytes: it holds the manifest's digest
	FileProof      = "manifest.tlog-proof"  // that the record is in the log
	FileCheckpoint = "checkpoint.txt"       // the signed head it is proved against
	FileKeys       = "log-keys.txt"
	FileKeyStory   = "log-keys.json"
)

// Action is that of the record which seals a packet.
const Action = "packet.built"

// MaxBytes bounds a packet, and MaxFiles its files.
const (
	MaxBytes = 64 << 20
	MaxFiles = 100
)

var errLarge = fault.New(fault.KindLimited, "packet_large", "The packet would be larger than 64 MiB: narrow it to a part of the company.")

// Manifest is what is known of a packet.
type Manifest struct {
	Format      string            `json:"format"`
	Company     string            `json:"company"`
	Tenant      string            `json:"tenant"`
	TenantID    string            `json:"tenant_id"`
	Period      string            `json:"period"`
	PeriodState string            `json:"period_state"`
	State       State             `json:"state"`
	Revision    int               `json:"revision"`
	Scope       *Scope            `json:"scope"` // null: the whole company
	BuiltAt     time.Time         `json:"built_at"`
	RunBy       export.RunBy      `json:"run_by"`
	CodeVersion string            `json:"code_version"`
	Figures     string            `json:"figures_sha256"` // what makes these figures others than those before
	Controls    []export.Pair     `json:"control_totals"`
	Contents    []export.Manifest `json:"contents"` // every file but this one and its seal
	Unlisted    int               `json:"approvals_left_out,omitempty"`
	Decisions   []Decision        `json:"approvals"`
	LeftOut     []LeftOut         `json:"left_out"` // what the packet has no room for, and where it is
	Corrected   bool              `json:"corrected"`
	Corrects    *Corrected        `json:"corrects"`           // null: it takes no final revision's place
	Changes     []Change          `json:"changed_since_last"` // since the one it corrects, or the one before; null: the first revision
	Sequence    export.Sequence   `json:"audit_sequence"`
	Checkpoint  *Head             `json:"checkpoint"` // the latest head before this packet's own record
	SealedBy    string            `json:"sealed_by"`
}

// File is one file of a packet.
type File struct {
	Name    string
	Content []byte
	Kept    string // where the bytes are stored already; empty: nowhere
}

// Built is a packet without its seal.
type Built struct {
	Manifest Manifest
	Document []byte // the manifest's bytes: what the log's record holds the digest of
	Files    []File // all in the manifest, in its order
	Snapshot Snapshot

	size int // bytes of the files
}

// part is a file of a packet, and what makes it.
type part struct {
	name    string
	report  string
	version int
	where   string // it is to be had, where the packet has no room for it; empty: it always has
	// make returns no content where the packet has no such file.
	make func(*Figures, []table) (content []byte, rows int, columns []string, controls []export.Pair, err error)
}

// summaryVersion is that of how a summary is laid out.
const summaryVersion = 2

// parts are the files that are made here, in the order they are made: what another part of
// the product makes comes as an Attachment.
func parts() []part {
	return []part{
		{FileWorkbook, "chargeback workbook", 2, "", func(f *Figures, t []table) ([]byte, int, []string, []export.Pair, error) {
			content, rows, err := f.workbook(t)
			sheets := []string{}
			for i := range t {
				sheets = append(sheets, t[i].sheet)
			}
			return content, rows, sheets, f.settled.control(), err
		}},
		{FileJournal, "journal, neutral form", 1, "the page Journal of the month, as CSV", func(f *Figures, _ []table) ([]byte, int, []string, []export.Pair, error) {
			if f.Books == nil {
				return nil, 0, nil, nil, nil
			}
			content, rows, err := journalCSV(f.Books)
			return content, rows, journalColumns(), journalControls(f.Books), err
		}},
		{FileCommentary, "commentary", 1, "", func(f *Figures, _ []table) ([]byte, int, []string, []export.Pair, error) {
			written := f.commentaryText()
			if written == "" {
				return nil, 0, nil, nil, nil
			}
			return []byte(written), len(f.Comments), nil, nil, nil
		}},
		{FileVerify, "how to verify", 2, "", func(f *Figures, _ []table) ([]byte, int, []string, []export.Pair, error) {
			return []byte(f.verifyText()), 0, nil, nil, nil
		}},
		{FileFigures, "figures", figuresVersion, "nowhere else as one file: its tables are in " + FileWorkbook, func(f *Figures, _ []table) ([]byte, int, []string, []export.Pair, error) {
			content, err := f.document()
			return content, 1, nil, f.settled.control(), err
		}},
	}
}

// Build makes a packet of figures: the same figures are the same bytes.
func Build(f *Figures) (*Built, error) {
	tables, err := f.tables()
	if err != nil {
		return nil, err
	}
	digest, err := f.Digest()
	if err != nil {
		return nil, err
	}
	out := &Built{}
	m := &out.Manifest
	*m = Manifest{
		Format: Format, Company: f.Company, Tenant: f.Slug, TenantID: f.TenantID, Period: f.Month.String(), PeriodState: string(f.BooksState), State: f.State(), Revision: f.Revision,
		BuiltAt: f.At.UTC(), RunBy: f.RunBy, CodeVersion: f.CodeVersion, Figures: digest, Controls: f.controls(), Decisions: f.Decisions, Changes: f.Changes, Sequence: f.Sequence, Checkpoint: f.Head,
		SealedBy: "the record " + Action + " of the audit log, which holds this file's SHA-256",
	}
	m.Unlisted = f.DecisionsLeft
	if m.Decisions == nil {
		m.Decisions = []Decision{}
	}
	m.LeftOut, m.Corrected, m.Corrects = append([]LeftOut{}, f.Absent...), f.Corrects != nil, f.Corrects
	if !f.Scope.Whole() {
		m.Scope = &f.Scope
	}
	if err := out.fill(f, tables); err != nil {
		return nil, err
	}
	out.sort()
	summary, pages, err := f.summary(tables, m.Contents, m.LeftOut) // last: it prints the digests of the others
	if err != nil {
		return nil, err
	}
	out.add(f, File{Name: FileSummary, Content: summary}, export.Manifest{Report: "close summary", ReportVersion: summaryVersion, Rows: pages, ControlTotals: f.settled.control()})
	return out, out.finish(f)
}

func (b *Built) add(f *Figures, file File, of export.Manifest) {
	b.Files = append(b.Files, file)
	b.size += len(file.Content)
	of.File = file.Name
	b.Manifest.Contents = append(b.Manifest.Contents, f.ipe(of).Of(file.Content))
}

// room is kept for the summary, which is made last, and the seal.
const (
	roomBytes = 8 << 20
	roomFiles = 2
)

// fits tells whether the packet has room for one more file.
func (b *Built) fits(size int) bool {
	return b.size+size <= MaxBytes-roomBytes && len(b.Files) < MaxFiles-roomFiles
}

// fill makes the files that fit, and names those that do not.
func (b *Built) fill(f *Figures, tables []table) error {
	for _, p := range parts() {
		content, rows, columns, controls, err := p.make(f, tables)
		if err != nil {
			return err
		}
		of := export.Manifest{Report: p.report, ReportVersion: p.version, Rows: rows, Columns: columns, ControlTotals: controls}
		switch {
		case content == nil:
		case p.where != "" && !b.fits(len(content)):
			digest := sha256.Sum256(content)
			b.Manifest.LeftOut = append(b.Manifest.LeftOut, LeftOut{p.name, p.report, len(content), hex.EncodeToString(digest[:]), p.where})
		default:
			b.add(f, File{Name: p.name, Content: content}, of)
		}
	}
	for k := range f.Attachments {
		a := &f.Attachments[k]
		if !b.fits(a.Bytes) {
			b.Manifest.LeftOut = append(b.Manifest.LeftOut, LeftOut{a.Name, a.Report, a.Bytes, a.SHA256, a.Where})
			continue
		}
		b.add(f, File{a.Name, a.Content, a.Kept}, export.Manifest{
			Report: a.Report, ReportVersion: a.ReportVersion, Rows: a.Rows, Columns: a.Columns, ControlTotals: a.ControlTotals, Journals: a.Journals, Approvals: a.Approvals,
		})
	}
	return nil
}

func (b *Built) sort() {
	slices.SortFunc(b.Files, func(a, c File) int { return cmp.Compare(a.Name, c.Name) })
	slices.SortFunc(b.Manifest.Contents, func(a, c export.Manifest) int { return cmp.Compare(a.File, c.File) })
}

// finish puts everything in one order and encodes the manifest.
func (b *Built) finish(f *Figures) error {
	b.sort()
	size := 0
	for i, file := range b.Files {
		size += len(file.Content)
		if i > 0 && b.Files[i-1].Name == file.Name || reserved(file.Name) {
			return fault.New(fault.KindInternal, "packet_file_twice", fmt.Sprintf("Two files of a packet are called %.80q.", file.Name))
		}
	}
	if size > MaxBytes || len(b.Files) > MaxFiles {
		return errLarge
	}
	var err error
	if b.Document, err = json.MarshalIndent(b.Manifest, "", "  "); err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	b.Document = append(b.Document, '\n')
	b.Snapshot, err = f.Snapshot()
	return err
}

// reserved tells whether a name is the manifest's, or of its seal.
func reserved(name string) bool {
	return slices.Contains([]string{FileManifest, FileRecord, FileProof, FileCheckpoint, FileKeys, FileKeyStory}, name)
}

func (f *Figures) controls() []export.Pair {
	list := append(f.settled.control(), pair("requests", strconv.FormatInt(f.Requests, 10)))
	if f.Books != nil {
		list = append(list, journalControls(f.Books)...)
	}
	return list
}

// ipe completes what an auditor asks of a file (information produced by the entity).
func (f *Figures) ipe(m export.Manifest) export.Manifest {
	m.CodeVersion, m.Tenant, m.TenantID, m.AsOf, m.KnownAt, m.RunBy, m.RunAt, m.AuditSequence = f.CodeVersion, f.Slug, f.TenantID, f.At, f.At, f.RunBy, f.At, f.Sequence
	m.Filters = []export.Pair{pair("period", f.Month.String()), pair("revision", strconv.Itoa(f.Revision)), pair("state", string(f.State()))}
	if !f.Scope.Whole() {
		m.Filters = append(m.Filters, pair("scope", f.Scope.Code))
	}
	if f.Head != nil {
		m.Checkpoint = &export.Checkpoint{Size: f.Head.Size, Root: f.Head.Root}
	}
	return m
}

// provenance is the same in words, for papers.
func (f *Figures) provenance() []export.Pair {
	scope := "the whole company"
	if !f.Scope.Whole() {
		scope = f.Scope.Code + " " + f.Scope.Name + ", and all below it"
	}
	list := []export.Pair{
		pair("Company", f.Paper()), pair("Tenant", f.Slug+" ("+f.TenantID+")"), pair("Period", monthName(f.Month)+" (UTC calendar month)"), pair("Books", booksWords(f.BooksState)), pair("Scope", scope),
		pair("Packet", fmt.Sprintf("revision %d, %s", f.Revision, f.Mark())), pair("As of, run at", instant(f.At, f.Zone)), pair("Run by", runBy(f.RunBy)), pair("Code version", f.CodeVersion),
		pair("Audit log", fmt.Sprintf("records %d to %d", f.Sequence.First, f.Sequence.Last)),
		pair("Sources", "charges and adjustments (rollups by placement, class and day), plan, journal, hierarchy"),
	}
	for _, c := range f.controls() {
		list = append(list, pair("Control total "+c.Name, c.Value))
	}
	return list
}

func runBy(r export.RunBy) string {
	if r.Name == "" {
		return r.ID
	}
	return r.Name + " (" + strings.TrimPrefix(r.Roles+", ", ", ") + r.ID + ")"
}

// Seal is what the log says of a manifest.
type Seal struct {
	Record     []byte // canonical bytes
	Proof      []byte // tlog-proof, with its signed head
	Checkpoint []byte
	Keys       []auditlog.PublicKey // of the log, the oldest first
}

// StoryOf is a log's keys as a file.
func StoryOf(keys []auditlog.PublicKey) ([]byte, error) {
	document, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	return document, nil
}

func keyLines(keys []string) []byte { return []byte(strings.Join(keys, "\n") + "\n") }

// Archive is the packet as one zip: the same packet is the same bytes, in every release.
func Archive(at time.Time, document []byte, files []File, seal *Seal) ([]byte, error) {
	return archive(export.Store, at, document, files, seal)
}

// ArchiveCompressed is one that was sealed when archives were still compressed: the same bytes
// as long as the compressor makes the same of them.
func ArchiveCompressed(at time.Time, document []byte, files []File, seal *Seal) ([]byte, error) {
	return archive(export.Bind, at, document, files, seal)
}

func archive(bind func([]export.Part) ([]byte, error), at time.Time, document []byte, files []File, seal *Seal) ([]byte, error) {
	story, err := StoryOf(seal.Keys)
	if err != nil {
		return nil, err
	}
	keys := []string{}
	for _, key := range seal.Keys {
		keys = append(keys, key.Verifier)
	}
	all := append(slices.Clone(files),
		File{Name: FileManifest, Content: document}, File{Name: FileRecord, Content: seal.Record}, File{Name: FileProof, Content: seal.Proof}, File{Name: FileCheckpoint, Content: seal.Checkpoint},
		File{Name: FileKeys, Content: keyLines(keys)}, File{Name: FileKeyStory, Content: story},
	)
	slices.SortFunc(all, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	parts := make([]export.Part, 0, len(all))
	for _, file := range all {
		parts = append(parts, export.Part{Name: file.Name, At: at.UTC().Truncate(time.Second), Content: file.Content})
	}
	return bind(parts)
}

// verifyText says what is in the archive and how to check it.
func (f *Figures) verifyText() string {
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	say("%s", f.Title())
	say("")
	say("To check it on any machine, without Tollbook's servers:")
	say("")
	say("    tollbook verify PACKET.zip --log-keys KEYS.txt")
	say("")
	say("KEYS.txt holds the log's public key, a line, as you got it another way: from the page \"Audit log\" at an earlier")
	say("time, by mail, from your own files. Without --log-keys the keys in %s are used: that shows that this packet", FileKeys)
	say("agrees with itself, not who made it.")
	say("")
	say("%s lists every file with its SHA-256, its rows, what it comes to, and how it was made.", FileManifest)
	say("%s is the log's record that this manifest was made, byte for byte as it was hashed: it holds the", FileRecord)
	say("manifest's SHA-256. %s proves its place in the log under the signed head in %s", FileProof, FileCheckpoint)
	say("(C2SP tlog-proof and tlog-checkpoint, RFC 6962 hashes). %s has the log's keys with what each signed of the next.", FileKeyStory)
	say("")
	say("It also makes every other file that Tollbook laid out again from %s and compares it, cell by cell and", FileFigures)
	say("page by page; holds FOCUS to the charges and the invoices, files for finance systems to the journal's lines and to")
	say("the manifests they came with, bills and the allocation to their invoices, and each day's items to its difference.")
	say("")
	say("By hand: sha256sum every file and compare with %s; sha256sum %s and compare with manifest_sha256 in", FileManifest, FileManifest)
	say("%s; the rest is the proof.", FileRecord)
	say("")
	say("What it proves: these files are those that the log says were made then, none changed, dropped or swapped since; the")
	say("journal in it balances. What it does not: that what a file says is true. Keep the heads you are given: a packet that")
	say("you keep is a witness of the log up to its head.")
	return b.String()
}
