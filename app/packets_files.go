package app

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tollbook/app/export"
	"tollbook/app/export/erp"
	"tollbook/app/export/focus"
	"tollbook/app/export/packet"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/db"
)

// files are what other parts of the product made of the month: they are about the whole
// company.
func (g *gathering) files() error {
	if g.scope != nil {
		return nil
	}
	for _, step := range []func() error{g.journals, g.bills, g.focus} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// attach adds a file, unless another one has its name.
func (g *gathering) attach(a packet.Attachment, content []byte) {
	if slices.ContainsFunc(g.f.Attachments, func(b packet.Attachment) bool { return b.Name == a.Name }) {
		g.absent(a.Name, a.Report, "another file of the packet has its name: "+a.Where)
		return
	}
	g.f.Attachments = append(g.f.Attachments, packet.Attach(a, content))
}

// absent names a file that could not be made, and why.
func (g *gathering) absent(name, report, why string) {
	g.f.Absent = append(g.f.Absent, packet.LeftOut{File: name, Report: report, Where: why})
}

// refused tells whether something is not there because it cannot be made of the month, which
// the packet says, rather than because reading failed.
func refused(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.KindConflict || kind == fault.KindNotFound || kind == fault.KindInvalid || kind == fault.KindLimited
}

// journals are the files that were exported to each system the company uses: what stands of a
// month that is over, else the latest drafts.
func (g *gathering) journals() error {
	for _, system := range erp.Names() {
		list, err := currentExports(g.tx, system, g.month)
		if err != nil {
			return err
		}
		for i := range list {
			if err := g.journal(&list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *gathering) journal(v *ExportView) error {
	one := packet.Exported{
		Number: v.Number, System: v.System, Entity: v.Entity, Draft: v.Draft, Revision: v.Revision, ExternalID: v.ExternalID, MappingVersion: v.MappingVersion, Lines: v.Lines, Total: v.Total,
		Acknowledged: v.Acknowledged, Documents: v.Documents, Digest: v.Digest,
	}
	entries, err := g.tx.ExportEntries(v.ID)
	if err != nil {
		return err
	}
	for _, e := range entries {
		one.Entries = append(one.Entries, e.Number)
	}
	for place := 1; place <= v.Files; place++ {
		row, found, err := g.tx.ExportFile(v.ID, place)
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
		a := packet.Attachment{
			Name: f.Name, Report: "journal for " + v.System, ReportVersion: f.Manifest.ReportVersion, Rows: f.Manifest.Rows, Columns: f.Manifest.Columns, Journals: f.Manifest.Journals, Approvals: f.Manifest.Approvals,
			Kept: keptFile{export: v.ID, place: place}.String(), Where: "/exports/" + v.ID.String(),
		}
		for _, p := range f.Manifest.ControlTotals { // "entries" are those of the file, not of the month
			a.ControlTotals = append(a.ControlTotals, export.Pair{Name: "exported_" + p.Name, Value: p.Value})
		}
		g.attach(a, f.Content)
		g.attach(packet.Attachment{
			Name: f.Name + export.Suffix, Report: "manifest beside " + f.Name, ReportVersion: 1, Kept: keptFile{export: v.ID, place: place, sidecar: true}.String(), Where: "/exports/" + v.ID.String(),
		}, f.Document)
		one.Files = append(one.Files, f.Name)
	}
	g.f.Exported = append(g.f.Exported, one)
	return nil
}

// keptFile is where the bytes of a packet's file are stored already.
type keptFile struct {
	export  id.Export
	place   int
	sidecar bool
}

// String is it as a packet carries it.
func (k keptFile) String() string {
	part := "file"
	if k.sidecar {
		part = "manifest"
	}
	return strings.Join([]string{k.export.String(), strconv.Itoa(k.place), part}, " ")
}

// keptIn says in a file's row where its bytes are stored.
func keptIn(row *db.PacketFileRow, text string) error {
	parts := strings.Split(text, " ")
	if len(parts) != 3 {
		return fmt.Errorf("read where %s is kept: %q", row.Name, text)
	}
	var err error
	if row.Export, err = id.ParseExport(parts[0]); err != nil {
		return fmt.Errorf("read where %s is kept: %w", row.Name, err)
	}
	if row.ExportPlace, err = strconv.Atoi(parts[1]); err != nil {
		return fmt.Errorf("read where %s is kept: %w", row.Name, err)
	}
	row.Sidecar, row.Content = parts[2] == "manifest", nil
	return nil
}

// about is what manifests of files say that are made for the packet.
func (g *gathering) about(slug string) export.Manifest {
	return export.Manifest{CodeVersion: g.p.rules.Version, Tenant: slug, TenantID: g.tx.Tenant.String(), AsOf: g.tx.Now, KnownAt: g.tx.Now, RunAt: g.tx.Now, RunBy: g.f.RunBy}
}

// bills are the month's booked invoices as accounts payable takes them.
func (g *gathering) bills() error {
	rows, err := invoicesOf(g.tx, g.month)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		if !isBill(r, g.month) || r.AllocatedAt == nil || r.AllocatedAt.After(g.asOf) {
			continue
		}
		f, err := billFile(g.tx, r, g.f.Slug, g.about(g.f.Slug))
		if err != nil {
			if !refused(err) {
				return err
			}
			g.absent("bill of invoice "+r.Number, "bill for accounts payable", fault.From(err).Message)
			continue
		}
		g.attach(packet.Attachment{
			Name: f.Name, Report: "bill for accounts payable", ReportVersion: f.Manifest.ReportVersion, Rows: f.Manifest.Rows, Columns: f.Manifest.Columns, ControlTotals: f.Manifest.ControlTotals, Journals: f.Manifest.Journals,
			Where: "/exports?period=" + g.month.String(),
		}, f.Content)
	}
	return nil
}

// focus is the month's charges as FOCUS, in both forms: the bytes of the export.
func (g *gathering) focus() error {
	x := &Exports{version: g.p.rules.Version}
	data, about, err := x.focusOf(g.tx, System(g.tx.Tenant), g.month)
	if err != nil {
		if !refused(err) {
			return err
		}
		g.absent(packet.FileFocus, "FOCUS "+focus.Version, fault.From(err).Message)
		return nil
	}
	text, err := focus.CSV(data, about)
	if err != nil {
		if !refused(err) {
			return err
		}
		g.absent(packet.FileFocus, "FOCUS "+focus.Version, fault.From(err).Message)
		return nil
	}
	sums, err := packet.FocusControls(text.Content)
	if err != nil {
		return err
	}
	columns, err := focus.Parquet(data, about)
	if err != nil {
		return err
	}
	for _, one := range []struct {
		name, where string
		of          *focus.File
	}{{packet.FileFocus, "the page Exports of the month, FOCUS as CSV", &text}, {packet.FileFocusColumns, "the page Exports of the month, FOCUS as Parquet", &columns}} {
		m := &one.of.Manifest
		g.attach(packet.Attachment{
			Name: one.name, Report: "FOCUS " + focus.Version, ReportVersion: m.ReportVersion, Rows: m.Rows, Columns: m.Columns, ControlTotals: append(slices.Clone(m.ControlTotals), sums...), Where: one.where,
		}, one.of.Content)
	}
	return nil
}

// correcting says which final revision a packet takes the place of: the latest that was built
// before the month's books were last reopened.
func (p *Packets) correcting(tx *db.Tx, figures *packet.Figures, scope *id.Node) (before db.PacketRow, found bool, err error) {
	if figures.State() != packet.Final {
		return before, false, nil
	}
	moves, err := tx.PeriodMoves(figures.Month, maxMoves)
	if err != nil {
		return before, false, err
	}
	for i := range moves {
		if (period.Standing{State: period.State(moves[i].FromState)}).Reopens(period.State(moves[i].ToState)) {
			return tx.LastFinalPacket(figures.Month, scope, moves[i].MovedAt)
		}
	}
	return before, false, nil
}
