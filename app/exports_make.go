package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/export"
	"tollbook/app/export/erp"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// ExportView is a journal as it was exported.
type ExportView struct {
	ID             id.Export
	Number         int64
	System         string
	Period         period.Month
	Entity         string
	Draft          bool
	Revision       int
	ExternalID     string
	MappingVersion int
	Supersedes     id.Export // zero: none
	SupersededBy   id.Export // zero: none does
	Entries        int
	Lines          int
	Total          money.Cents // of debits, and of credits
	Digest         string      // SHA-256 over the digests of its files, in order
	Files          int
	Documents      int // what the system holds as one journal each
	Acknowledged   int // of them
	Record         id.Record
	RecordedAt     time.Time
}

// Stands tells whether what an export holds is not to be exported again.
func (v *ExportView) Stands() bool { return !v.Draft && v.SupersededBy.IsZero() }

func exportView(r *db.ExportRow) ExportView {
	v := ExportView{
		ID: r.ExportID, Number: r.Number, System: r.System, Period: period.MonthOf(r.PostingPeriod), Entity: r.Entity, Draft: r.Draft, Revision: r.Revision, ExternalID: r.ExternalID,
		MappingVersion: r.MappingVersion, Entries: r.Entries, Lines: r.Lines, Total: money.Cents(r.TotalCents), Digest: hex.EncodeToString(r.Digest), Files: r.Files, Documents: r.Documents,
		Acknowledged: r.Acknowledged, Record: r.RecordID, RecordedAt: r.RecordedAt.UTC(),
	}
	if r.Supersedes != nil {
		v.Supersedes = *r.Supersedes
	}
	if r.SupersededBy != nil {
		v.SupersededBy = *r.SupersededBy
	}
	return v
}

// usedMapping is the mapping of a system that the company exports to.
func usedMapping(tx *db.Tx, system string) (SystemMapping, error) {
	m, err := latestMapping(tx, system)
	if err == nil && !m.InUse {
		err = errExportSystem
	}
	return m, err
}

// Make exports what a month has for a system and no export holds yet: a journal for each
// entity, all of them or, where the check finds anything, none. What would be the same as
// what is there is not made again. Of a month that is not over it is a draft. It answers
// with the exports of the month as they are then.
func (x *Exports) Make(ctx context.Context, who Actor, system string, month period.Month) ([]ExportView, error) {
	if err := x.access.Check(who, "export", "propose"); err != nil {
		return nil, err
	}
	var made []ExportView
	err := x.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockExports(); err != nil {
			return err
		}
		mapping, err := usedMapping(tx, system)
		if err != nil {
			return err
		}
		if posted, err := tx.PostedLines(month, 1); err != nil || len(posted) == 0 {
			return err // and there is no month to hold
		}
		if _, err := tx.PostingState(month); err != nil { // held: it is not locked meanwhile, nor reopened
			return err
		}
		m, err := readExport(tx, month, &mapping)
		if err != nil {
			return err
		}
		if err := x.makeAll(tx, who, m); err != nil {
			return err
		}
		made, err = currentExports(tx, system, month)
		return err
	})
	return made, err
}

func (x *Exports) makeAll(tx *db.Tx, who Actor, m *exportMonth) error {
	draft := !final(m.state)
	var ready []*bundle
	for _, entity := range m.entities() {
		b, err := m.fresh(entity)
		if err != nil {
			return err
		}
		if b.lines == 0 {
			continue
		}
		m.named(b, draft, m.revisions(entity, draft)+1)
		if found := m.format.Check(b.journal, &m.mapping.Mapping); len(found) > 0 {
			return erp.ErrRefused.Because(errors.New(found[0].String()))
		}
		ready = append(ready, b)
	}
	for _, b := range ready {
		if err := x.make(tx, who, m, b, draft, nil); err != nil {
			return err
		}
	}
	return nil
}

// make stores a journal's files, unless the latest draft of it holds the same.
func (x *Exports) make(tx *db.Tx, who Actor, m *exportMonth, b *bundle, draft bool, replaces *db.ExportRow) error {
	about, err := x.about(tx, who, m, b, draft)
	if err != nil {
		return err
	}
	if draft {
		same, err := m.drafted(b, about)
		if err != nil || same {
			return err
		}
	}
	m.named(b, draft, m.revisions(b.journal.Entity, draft)+1)
	files, err := m.format.Encode(b.journal, &m.mapping.Mapping, about)
	if err != nil {
		return err
	}
	fresh := db.FreshExport{ExportRow: db.ExportRow{
		ExportID: id.NewExport(tx.Now), System: m.mapping.System, PostingPeriod: m.month.Start(), Entity: b.journal.Entity, Draft: draft,
		Revision: m.revisions(b.journal.Entity, draft) + 1, ExternalID: b.journal.ExternalID, MappingVersion: m.mapping.Version, Lines: b.lines, TotalCents: int64(b.journal.Total()),
		RecordID: id.NewRecord(tx.Now), Digest: digestOfFiles(files),
	}, EntryIDs: b.ids, Postings: m.format.Postings(b.journal, &m.mapping.Mapping)}
	if replaces != nil {
		fresh.Supersedes = &replaces.ExportID
	}
	for i := range files {
		manifest, err := files[i].Manifest.JSON()
		if err != nil {
			return err
		}
		fresh.Contents = append(fresh.Contents, db.ExportFileRow{Name: files[i].Name, Content: files[i].Content, Manifest: manifest})
	}
	if fresh.Number, err = tx.Counter("journal_export"); err != nil {
		return err
	}
	if err := recordExport(tx, who, &fresh); err != nil {
		return err
	}
	return tx.AddExport(&fresh)
}

// drafted tells whether the latest draft of an entity has the very bytes that a journal
// would have now.
func (m *exportMonth) drafted(b *bundle, about export.Manifest) (bool, error) {
	at := slices.IndexFunc(m.exports, func(x db.ExportRow) bool { return x.Draft && x.Entity == b.journal.Entity })
	if at < 0 || m.exports[at].MappingVersion != m.mapping.Version {
		return false, nil
	}
	m.named(b, true, m.exports[at].Revision)
	files, err := m.format.Encode(b.journal, &m.mapping.Mapping, about)
	return err == nil && slices.Equal(digestOfFiles(files), m.exports[at].Digest), err
}

// digestOfFiles is the SHA-256 over the digests of files, in their order.
func digestOfFiles(files []erp.File) []byte {
	whole := sha256.New()
	for i := range files {
		digest := sha256.Sum256(files[i].Content)
		whole.Write(digest[:])
	}
	return whole.Sum(nil)
}

func recordExport(tx *db.Tx, who Actor, f *db.FreshExport) error {
	detail := map[string]any{
		"number": f.Number, "system": f.System, "period": f.PostingPeriod.Format("2006-01"), "entity": f.Entity, "external_id": f.ExternalID, "draft": f.Draft, "revision": f.Revision,
		"mapping_version": f.MappingVersion, "entries": len(f.EntryIDs), "lines": f.Lines, "total_cents": f.TotalCents, "digest": hex.EncodeToString(f.Digest),
	}
	if f.Supersedes != nil {
		detail["supersedes"] = f.Supersedes.String()
	}
	return tx.AppendAudit(auditlog.Record{ID: f.RecordID, Action: "journal.exported", Actor: who.ID(), Subject: f.ExportID.String(), Detail: detail})
}

// currentExports are what is to be imported of a month: what stands where it is over, else
// the latest draft of each entity.
func currentExports(tx *db.Tx, system string, month period.Month) ([]ExportView, error) {
	state, err := tx.PeriodState(month)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Exports(month, maxExportsOfMonth)
	if err != nil {
		return nil, err
	}
	if len(rows) == maxExportsOfMonth && !rows[len(rows)-1].Draft {
		return nil, errExportsMany
	}
	var list []ExportView
	drafted := map[string]bool{}
	for i := range rows {
		v := exportView(&rows[i])
		if v.System != system || (final(state) && !v.Stands()) || (!final(state) && (!v.Draft || drafted[v.Entity])) {
			continue
		}
		drafted[v.Entity] = true
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b ExportView) int {
		if c := strings.Compare(a.Entity, b.Entity); c != 0 {
			return c
		}
		return a.Revision - b.Revision
	})
	return list, nil
}

var (
	errReplaceDraft = fault.New(fault.KindConflict, "export_draft", "A draft is replaced by exporting again.")
	errReplaced     = fault.New(fault.KindConflict, "export_superseded", "That export was replaced already.")
	errImported     = fault.New(fault.KindConflict, "export_acknowledged",
		"The system has that journal: its entries are not exported a second time. Take them back by reversals, which are exported in their own month.")
	errReplaceSame = fault.New(fault.KindConflict, "export_same", "Neither the mapping nor what nodes state has changed: the journal would be the same under another id.")
)

// Replace exports the entries of a journal that was not imported again, by the present
// mapping and under an id of its own. One that the system has acknowledged stays.
func (x *Exports) Replace(ctx context.Context, who Actor, of id.Export) (ExportView, error) {
	if err := x.access.Check(who, "export", "propose"); err != nil {
		return ExportView{}, err
	}
	var made ExportView
	err := x.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockExports(); err != nil {
			return err
		}
		row, found, err := tx.Export(of)
		if err != nil {
			return err
		}
		if !found {
			return ErrExportAbsent
		}
		if _, err := tx.PostingState(period.MonthOf(row.PostingPeriod)); err != nil {
			return err
		}
		mapping, err := usedMapping(tx, row.System)
		if err != nil {
			return err
		}
		m, err := readExport(tx, period.MonthOf(row.PostingPeriod), &mapping)
		if err != nil {
			return err
		}
		if err := replaceable(&row, m); err != nil {
			return err
		}
		b, err := m.bundle(row.Entity, func(e id.Entry) bool { return slices.Contains(m.held[of], e) })
		if err != nil {
			return err
		}
		if err := m.differs(b, &row); err != nil {
			return err
		}
		if err := x.make(tx, who, m, b, false, &row); err != nil {
			return err
		}
		again, _, err := tx.Export(of)
		if err != nil {
			return err
		}
		next, _, err := tx.Export(*again.SupersededBy)
		made = exportView(&next)
		return err
	})
	return made, err
}

func replaceable(row *db.ExportRow, m *exportMonth) error {
	switch {
	case row.Draft || !final(m.state):
		return errReplaceDraft
	case row.SupersededBy != nil:
		return errReplaced
	case row.Acknowledged > 0:
		return errImported
	}
	return nil
}

// differs refuses to replace an export by the same journal under another id.
func (m *exportMonth) differs(b *bundle, row *db.ExportRow) error {
	m.named(b, false, row.Revision)
	files, err := m.format.Encode(b.journal, &m.mapping.Mapping, export.Manifest{})
	if err == nil && slices.Equal(digestOfFiles(files), row.Digest) {
		err = errReplaceSame
	}
	return err
}

// JournalFile is a file with its manifest.
type JournalFile struct {
	Place    int
	Name     string
	Bytes    int
	SHA256   string
	Manifest export.Manifest
	Document []byte // the manifest's own bytes
	Content  []byte // where it is read alone
}

func journalFile(r *db.ExportFileRow) (JournalFile, error) {
	f := JournalFile{Place: r.Place, Name: r.Name, Bytes: r.Bytes, SHA256: hex.EncodeToString(r.Digest), Document: r.Manifest, Content: r.Content}
	var err error
	f.Manifest, err = export.ReadManifest(r.Manifest)
	return f, err
}

// ExportCase is one export with all that is known of it.
type ExportCase struct {
	ExportView
	State     period.State // of its month
	FileList  []JournalFile
	EntryList []export.Posted
	Journals  []Acknowledged // its documents
	Current   int            // the mapping's version in force
}

// Export is one export.
func (x *Exports) Export(ctx context.Context, who Actor, of id.Export) (ExportCase, error) {
	var out ExportCase
	if err := x.access.Check(who, "export", "read"); err != nil {
		return out, err
	}
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.Export(of)
		if err != nil {
			return err
		}
		if !found {
			return ErrExportAbsent
		}
		out.ExportView = exportView(&row)
		if out.State, err = tx.PeriodState(out.Period); err != nil {
			return err
		}
		files, err := tx.ExportFiles(of)
		if err != nil {
			return err
		}
		for i := range files {
			f, err := journalFile(&files[i])
			if err != nil {
				return err
			}
			out.FileList = append(out.FileList, f)
		}
		entries, err := tx.ExportEntries(of)
		if err != nil {
			return err
		}
		for _, e := range entries {
			out.EntryList = append(out.EntryList, export.Posted{ID: e.EntryID.String(), Number: e.Number})
		}
		mapping, err := latestMapping(tx, out.System)
		if err != nil {
			return err
		}
		out.Current = mapping.Version
		out.Journals, err = acknowledged(tx, &out)
		return err
	})
	return out, err
}

// File is one file of an export with its stored bytes.
func (x *Exports) File(ctx context.Context, who Actor, of id.Export, place int) (JournalFile, error) {
	var out JournalFile
	if err := x.access.Check(who, "export", "read"); err != nil {
		return out, err
	}
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.ExportFile(of, place)
		if err == nil && !found {
			err = ErrExportAbsent
		}
		if err != nil {
			return err
		}
		out, err = journalFile(&row)
		return err
	})
	return out, err
}

// Bundle is what is sent of exports: the one file, or an archive of all with their manifests.
type Bundle struct {
	Name     string
	Type     string // media type
	Content  []byte
	Manifest *export.Manifest // of the one file; nil for an archive
}

// Download is the files of exports, by their ids: one file alone unless it is asked for
// with its manifest, else all of them in an archive, each with its manifest.
func (x *Exports) Download(ctx context.Context, who Actor, of []ExportView, archive bool) (Bundle, error) {
	var files []JournalFile
	if err := x.access.Check(who, "export", "read"); err != nil {
		return Bundle{}, err
	}
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		for i := range of {
			for place := 1; place <= of[i].Files; place++ {
				row, found, err := tx.ExportFile(of[i].ID, place)
				if err == nil && !found {
					err = ErrExportAbsent
				}
				if err != nil {
					return err
				}
				f, err := journalFile(&row)
				if err != nil {
					return err
				}
				files = append(files, f)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return Bundle{}, err
	case len(files) == 0:
		return Bundle{}, errExportEmpty
	case len(files) == 1 && !archive:
		return Bundle{Name: files[0].Name, Type: FileType(files[0].Name), Content: files[0].Content, Manifest: &files[0].Manifest}, nil
	}
	var parts []export.Part
	for i := range files {
		f := &files[i]
		parts = append(parts, export.Part{Name: f.Name, At: f.Manifest.RunAt, Content: f.Content}, export.Part{Name: f.Name + export.Suffix, At: f.Manifest.RunAt, Content: f.Document})
	}
	content, err := export.Bind(parts)
	name := of[0].ExternalID + "-" + of[0].System + ".zip"
	if len(of) > 1 {
		name = fmt.Sprintf("journals-%s-%s.zip", of[0].Period, of[0].System)
	}
	return Bundle{Name: name, Type: "application/zip", Content: content}, err
}

// FileType is the media type of an exported file, by its name.
func FileType(name string) string {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "csv":
		return "text/csv; charset=utf-8"
	case "zip":
		return "application/zip"
	case "xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	default:
		return "application/octet-stream"
	}
}

// Current are the exports of a month that are to be imported: what stands where it is
// over, else the latest draft of each entity. Who may export has them made first.
func (x *Exports) Current(ctx context.Context, who Actor, system string, month period.Month) ([]ExportView, error) {
	if err := x.access.Check(who, "export", "read"); err != nil {
		return nil, err
	}
	if x.access.Check(who, "export", "propose") == nil {
		return x.Make(ctx, who, system, month)
	}
	var list []ExportView
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if _, err := usedMapping(tx, system); err != nil {
			return err
		}
		var err error
		list, err = currentExports(tx, system, month)
		return err
	})
	return list, err
}
