package app

import (
	"archive/zip"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/db"
)

// exportFormat names the layout of a tenant's export.
const exportFormat = "tollbook tenant export 1"

// TenantExport is the manifest of an export: what is in it and what is not.
type TenantExport struct {
	Format        string       `json:"format"`
	Tenant        string       `json:"tenant"`
	TenantID      id.Tenant    `json:"tenant_id"`
	Name          string       `json:"name"`
	AsOf          time.Time    `json:"as_of"` // every file is of this one instant
	CodeVersion   string       `json:"code_version"`
	SchemaVersion int64        `json:"schema_version"`
	AuditLast     int64        `json:"audit_last_sequence"` // -1: nothing had its place yet
	AuditWaiting  int64        `json:"audit_waiting"`       // records that had none
	RunBy         string       `json:"run_by"`
	Notes         []string     `json:"notes"`
	Files         []ExportFile `json:"files"`
}

// ExportFile is one table's file.
type ExportFile struct {
	Name    string   `json:"name"`
	Table   string   `json:"table"`
	Rows    int64    `json:"rows"`
	Bytes   int64    `json:"bytes"`
	SHA256  string   `json:"sha256"`
	Columns []string `json:"columns"`
	LeftOut []string `json:"left_out"` // sealed columns and hashes of secrets
}

func exportNotes() []string {
	return []string{
		"Every table of the company is one CSV file with a head, in the order of its key; an empty field is null, two quotes are an empty text.",
		"Texts are as they are stored: a spreadsheet may take one that begins with = + - or @ for a formula.",
		"Bytes are hexadecimal after \\x; times are UTC; charges are pico-dollars.",
		"Left out are secrets: what is sealed under the installation's master key, which is people's names and addresses, developers' labels and credentials, and the hashes that secrets are recognized by.",
		"Records of the audit log and payloads of changes are word for word as they were hashed, or the log could not be verified; they hold keyed hashes of virtual keys, which are worth nothing without the master key.",
	}
}

// Export writes everything that is stored of the actor's tenant as a ZIP archive: a CSV
// file per table and a manifest, all of one instant. Only rows on their way are in memory.
// That it began and how it ended is in the tenant's log: nothing is read without a record.
func (t *Tenants) Export(ctx context.Context, who Actor, codeVersion string, to io.Writer) (TenantExport, error) {
	if err := t.changes.access.Check(who, "tenant", "export"); err != nil {
		return TenantExport{}, err
	}
	if err := t.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		return tx.AppendAudit(auditlog.Record{Action: "tenant.export_begun", Actor: who.ID(), Subject: who.Tenant.String()})
	}); err != nil {
		return TenantExport{}, err
	}
	made := TenantExport{Format: exportFormat, TenantID: who.Tenant, CodeVersion: codeVersion, RunBy: who.ID(), Notes: exportNotes()}
	archive := zip.NewWriter(to)
	err := t.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := made.head(tx); err != nil {
			return err
		}
		tables, err := tx.ExportTables()
		if err != nil {
			return err
		}
		for _, table := range tables {
			file, err := exportTable(tx, archive, made.AsOf, table)
			if err != nil {
				return err
			}
			made.Files = append(made.Files, file)
		}
		return nil
	})
	if err != nil {
		return TenantExport{}, err
	}
	document, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return TenantExport{}, fmt.Errorf("encode manifest: %w", err)
	}
	into, err := archive.CreateHeader(&zip.FileHeader{Name: "manifest.json", Method: zip.Deflate, Modified: made.AsOf})
	if err == nil {
		_, err = into.Write(append(document, '\n'))
	}
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		return TenantExport{}, fmt.Errorf("write export: %w", err)
	}
	digest := sha256.Sum256(append(document, '\n'))
	return made, t.exported(ctx, who, &made, digest)
}

// exported keeps that an export was finished and what it holds of the books: offboarding asks
// whether something came after it.
func (t *Tenants) exported(ctx context.Context, who Actor, made *TenantExport, manifest [32]byte) error {
	return t.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.AddTenantExport(&db.TenantExportRow{
			ManifestSHA256: manifest[:], AsOf: made.AsOf, RunBy: who.ID(), RowCount: made.Rows(),
			UsageBatches: made.rowsOf("usage_batch"), AdjustmentBatches: made.rowsOf("adjustment_batch"), JournalEntries: made.rowsOf("journal_entry"),
			Invoices: made.rowsOf("invoice"),
		}); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "tenant.exported", Actor: who.ID(), Subject: who.Tenant.String(), Detail: map[string]any{
			"as_of": made.AsOf.Format(time.RFC3339Nano), "audit_last_sequence": made.AuditLast, "files": len(made.Files), "rows": made.Rows(), "manifest_sha256": hex.EncodeToString(manifest[:]),
		}})
	})
}

// rowsOf counts the rows of one table's file.
func (e *TenantExport) rowsOf(table string) int64 {
	for i := range e.Files {
		if e.Files[i].Table == table {
			return e.Files[i].Rows
		}
	}
	return 0
}

// Rows counts the rows of all files.
func (e *TenantExport) Rows() int64 {
	var n int64
	for i := range e.Files {
		n += e.Files[i].Rows
	}
	return n
}

// head fills in what the manifest says of the whole.
func (e *TenantExport) head(tx *db.Tx) error {
	row, err := tx.TenantRow()
	if err != nil {
		return err
	}
	e.Tenant, e.Name, e.AsOf = row.Slug, row.Name, tx.Now
	if e.AuditLast, e.AuditWaiting, err = tx.LogEnd(); err != nil {
		return err
	}
	e.SchemaVersion, err = tx.SchemaVersion()
	return err
}

// exportTable writes one table's file while it is read.
func exportTable(tx *db.Tx, archive *zip.Writer, at time.Time, table db.ExportTable) (ExportFile, error) {
	file := ExportFile{Name: table.Name + ".csv", Table: table.Name, Columns: table.Columns, LeftOut: table.LeftOut}
	if file.LeftOut == nil {
		file.LeftOut = []string{}
	}
	into, err := archive.CreateHeader(&zip.FileHeader{Name: file.Name, Method: zip.Deflate, Modified: at})
	if err != nil {
		return file, fmt.Errorf("write %s: %w", file.Name, err)
	}
	measured := &measure{to: into, digest: sha256.New()}
	lines := bufio.NewWriterSize(measured, 64<<10)
	head := make([]*string, 0, len(table.Columns))
	for i := range table.Columns {
		head = append(head, &table.Columns[i])
	}
	if err := writeLine(lines, head); err != nil {
		return file, err
	}
	if err := tx.StreamTable(table, func(row []*string) error { file.Rows++; return writeLine(lines, row) }); err != nil {
		return file, err
	}
	if err := lines.Flush(); err != nil {
		return file, fmt.Errorf("write %s: %w", file.Name, err)
	}
	file.Bytes, file.SHA256 = measured.bytes, hex.EncodeToString(measured.digest.Sum(nil))
	return file, nil
}

// measure counts and hashes what passes to a writer.
type measure struct {
	to     io.Writer
	digest hash.Hash
	bytes  int64
}

func (m *measure) Write(p []byte) (int, error) {
	n, err := m.to.Write(p)
	m.bytes += int64(n)
	m.digest.Write(p[:n]) // never fails
	return n, err
}

// writeLine writes one line of CSV that tells null from an empty text.
func writeLine(out *bufio.Writer, fields []*string) error {
	for i, f := range fields {
		if i > 0 {
			_ = out.WriteByte(',') // its error comes again with the line's end
		}
		switch {
		case f == nil:
		case *f == "" || strings.ContainsAny(*f, ",\"\r\n") || strings.HasPrefix(*f, " "):
			_, _ = out.WriteString(`"` + strings.ReplaceAll(*f, `"`, `""`) + `"`)
		default:
			_, _ = out.WriteString(*f)
		}
	}
	_, err := out.WriteString("\r\n")
	return err
}
