package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/app/table"
	"tollbook/db"
)

// Invoices is the area of what the provider bills, and who bears it.
type Invoices struct {
	db      *db.DB
	access  *Access
	changes *Changes
}

// NewInvoices makes the area.
func NewInvoices(d *db.DB, access *Access, changes *Changes) *Invoices {
	v := &Invoices{db: d, access: access, changes: changes}
	v.changes.govern(changeInvoice, governed{checks: "finance", lock: (*db.Tx).LockInvoices, draft: v.draftInvoices, apply: v.applyInvoices, impact: v.invoicesImpact})
	// A second person decides: it says what each node bears, and what is owed.
	v.changes.govern(changeAllocation, governed{
		checks: "finance", floor: approval.FloorSecond, lock: lockAllocation, draft: v.draftAllocation, apply: v.applyAllocation, impact: v.allocationImpact,
	})
	v.changes.govern(changeSharing, governed{
		checks: "finance", floor: approval.FloorSecond, revisable: true, lock: (*db.Tx).LockInvoices, draft: v.draftSharing, apply: v.applySharing, impact: v.sharingImpact,
	})
	return v
}

// PaperAsk is the file that comes with invoices.
type PaperAsk struct {
	Name    string `json:"name"`
	Content []byte `json:"content"` // base64 in JSON
}

// invoicesAsk is what a maker sends: the file, and the paper where there is one.
type invoicesAsk struct {
	File  string    `json:"file"`
	Paper *PaperAsk `json:"paper,omitempty"`
}

// AskInvoices is the proposal to enter the invoices of a file.
func AskInvoices(file []byte, paper *PaperAsk, reason string) Ask {
	return ask(changeInvoice, reason, invoicesAsk{File: string(file), Paper: paper})
}

// invoicesDocument is what a change says that enters invoices; file and paper are kept beside.
type invoicesDocument struct {
	File     string            `json:"file_sha256"`
	Paper    string            `json:"paper_sha256,omitempty"`
	Invoices []invoiceDocument `json:"invoices"`
}

type invoiceDocument struct {
	Number    string `json:"number"`
	Workspace string `json:"workspace"`
	Revision  int    `json:"revision"`
	From      string `json:"from"`
	Through   string `json:"through"`
	Lines     int    `json:"lines"`
	TotalUSD  string `json:"total_usd"`
	SHA256    string `json:"sha256"` // of the invoice's canonical bytes
}

// InvoicesDraft is what a file of invoices would do, before anything is written.
type InvoicesDraft struct {
	Flaws    []table.Flaw
	Invoices []DraftInvoice
}

// DraftInvoice is an invoice of a file, and the revision of its number it would be.
type DraftInvoice struct {
	invoice.Filed

	Revision int

	canonical []byte
}

// DryRun tells what a file would do and every flaw in it; nothing is written.
func (v *Invoices) DryRun(ctx context.Context, who Actor, file []byte) (InvoicesDraft, error) {
	if err := v.changes.allowed(who, changeInvoice); err != nil {
		return InvoicesDraft{}, err
	}
	var d InvoicesDraft
	err := v.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		d, err = draftOfInvoices(tx, file)
		return err
	})
	return d, err
}

// draftOfInvoices reads a file and holds it against what is there.
func draftOfInvoices(tx *db.Tx, file []byte) (InvoicesDraft, error) {
	var d InvoicesDraft
	list, flaws := invoice.ReadFile(file)
	if d.Flaws = flaws; len(flaws) > 0 {
		return d, nil
	}
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return d, err
	}
	column := func(line int, head, format string, args ...any) {
		d.Flaws = append(d.Flaws, table.Flaw{Line: line, Head: head, Message: fmt.Sprintf(format, args...)})
	}
	for i := range list {
		one := DraftInvoice{Filed: list[i]}
		for n := range one.Lines {
			if code := one.Lines[n].Node; code != "" {
				if _, known := tree.Code(code); !known {
					column(one.Line+n, "node", "There is no node %.60q to bear the line.", code)
				}
			}
		}
		if one.canonical, err = one.Canonical(); err != nil {
			return d, err
		}
		if err := one.place(tx, list[:i], column); err != nil {
			return d, err
		}
		d.Invoices = append(d.Invoices, one)
	}
	if len(d.Flaws) > 0 {
		d.Invoices = nil
	}
	return d, nil
}

// maxRevisions bounds how often one number is entered, and how many invoices bill a day.
const maxRevisions = 100

// place finds what the invoice follows, and refuses what is there already.
func (d *DraftInvoice) place(tx *db.Tx, before []invoice.Filed, refuse func(line int, head, format string, args ...any)) error {
	same, err := tx.Invoices(&db.InvoiceFilter{Workspace: d.Workspace, Number: d.Number, Limit: maxRevisions})
	if err != nil {
		return err
	}
	digest := sha256.Sum256(d.canonical)
	d.Revision = 1
	for i := range same {
		was := &same[i]
		d.Revision = max(d.Revision, was.Revision+1)
		switch {
		case was.Superseded:
		case slices.Equal(was.Digest, digest[:]):
			refuse(d.Line, "invoice_number", "Invoice %s of %s is entered already, word for word.", d.Number, d.Workspace)
		case was.EntryID != nil:
			refuse(d.Line, "invoice_number", "Invoice %s is booked as Journal %d: take that entry back first, then enter the corrected invoice.", d.Number, was.EntryNumber)
		}
	}
	if d.Revision > maxRevisions {
		refuse(d.Line, "invoice_number", "Invoice %s was corrected %d times, which is the most.", d.Number, maxRevisions)
	}
	if !d.HasUsage() {
		return nil
	}
	others, err := tx.Invoices(&db.InvoiceFilter{Workspace: d.Workspace, From: d.From, To: d.To, Billing: true, Limit: maxRevisions})
	if err != nil {
		return err
	}
	for i := range others {
		if o := &others[i]; o.Number != d.Number {
			refuse(d.Line, "service_from", "Invoice %s bills usage of %s from %s through %s already: days are billed once.", o.Number, d.Workspace, dateText(o.ServiceFrom), dateText(o.ServiceTo.AddDate(0, 0, -1)))
		}
	}
	for i := range before {
		if o := &before[i]; o.Workspace == d.Workspace && o.HasUsage() && o.Overlaps(d.From, d.To) {
			refuse(d.Line, "service_from", "Invoice %s, from line %d on, bills usage of the same days.", o.Number, o.Line)
		}
	}
	return nil
}

func dateText(at time.Time) string { return at.UTC().Format(time.DateOnly) }

func (p *PaperAsk) check() (*db.Paper, error) {
	name := fileName(p.Name)
	if name == "" {
		return nil, fault.Invalid("paper", "attachment_name", "The file has a name of 1 to 200 bytes.")
	}
	if len(p.Content) == 0 || len(p.Content) > MaxAttachment {
		return nil, fault.Invalid("paper", "attachment_size", "A file has 1 byte to 5 MB.")
	}
	return &db.Paper{Name: name, MediaType: mediaType(http.DetectContentType(p.Content)), Content: p.Content}, nil
}

func (v *Invoices) draftInvoices(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var asked invoicesAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if err := tx.LockInvoices(); err != nil {
		return draft{}, err
	}
	var paper *db.Paper
	document := invoicesDocument{File: hexDigest([]byte(asked.File))}
	if asked.Paper != nil {
		var err error
		if paper, err = asked.Paper.check(); err != nil {
			return draft{}, err
		}
		document.Paper = hexDigest(paper.Content)
	}
	d, err := draftOfInvoices(tx, []byte(asked.File))
	if err != nil {
		return draft{}, err
	}
	if len(d.Flaws) > 0 {
		return draft{}, fault.Invalid("file", "invoice_file", "%s Nothing was taken from the file.", d.Flaws[0])
	}
	for i := range d.Invoices {
		one := &d.Invoices[i]
		document.Invoices = append(document.Invoices, invoiceDocument{
			Number: one.Number, Workspace: one.Workspace, Revision: one.Revision, From: dateText(one.From), Through: dateText(one.To.AddDate(0, 0, -1)),
			Lines: len(one.Lines), TotalUSD: one.Total.String(), SHA256: hexDigest(one.canonical),
		})
	}
	return draft{payload: document, store: func(tx *db.Tx, c approval.Change) error {
		if err := tx.KeepDocument(c.ID, []byte(asked.File)); err != nil || paper == nil {
			return err
		}
		return tx.AddPaper(c.ID, paper)
	}}, nil
}

func hexDigest(content []byte) string { return hex.EncodeToString(digestOf(content)) }

// applyInvoices enters what was decided about, as it stands in the kept file.
func (v *Invoices) applyInvoices(tx *db.Tx, c approval.Change) error {
	var doc invoicesDocument
	if err := stored(c, &doc); err != nil {
		return err
	}
	file, err := tx.KeptDocument(c.ID)
	if err != nil {
		return err
	}
	if hexDigest(file) != doc.File {
		return approval.ErrDigest
	}
	d, err := draftOfInvoices(tx, file)
	if err != nil {
		return err
	}
	if len(d.Flaws) > 0 {
		return errOvertaken("invoice_overtaken", d.Flaws[0].Message)
	}
	for i := range d.Invoices {
		one := &d.Invoices[i]
		if i >= len(doc.Invoices) || doc.Invoices[i].SHA256 != hexDigest(one.canonical) || doc.Invoices[i].Revision != one.Revision {
			return errOvertaken("invoice_overtaken", "Invoices were entered meanwhile. Enter the file again.")
		}
		fresh := db.FreshInvoice{ID: id.NewInvoice(tx.Now), Revision: one.Revision, Invoice: &one.Invoice, Canonical: one.canonical, Change: c.ID, Record: id.NewRecord(tx.Now)}
		detail := map[string]any{
			"number": one.Number, "workspace": one.Workspace, "revision": one.Revision, "from": dateText(one.From), "to": dateText(one.To), "lines": len(one.Lines),
			"total_cents": int64(one.Total), "digest": hexDigest(one.canonical), "change": c.ID.String(),
		}
		if err := tx.AppendAudit(auditlog.Record{ID: fresh.Record, Action: "invoice.entered", Actor: string(ActorSystem), Subject: fresh.ID.String(), Detail: detail}); err != nil {
			return err
		}
		if err := tx.AddInvoice(&fresh); err != nil {
			return err
		}
	}
	return nil
}

func (v *Invoices) invoicesImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var doc invoicesDocument
	if err := stored(c, &doc); err != nil {
		return approval.Impact{}, err
	}
	var impact approval.Impact
	for i := range doc.Invoices {
		one := &doc.Invoices[i]
		total, err := money.ParseCents(one.TotalUSD)
		if err != nil {
			return impact, err
		}
		impact.Moved.AddCents(total)
		if i == 0 {
			impact.Sentence = fmt.Sprintf("Invoice %s of %s for %s through %s, $%s, is entered", one.Number, one.Workspace, one.From, one.Through, one.TotalUSD)
			if one.Revision > 1 {
				impact.Sentence += fmt.Sprintf(" in the place of its revision %d", one.Revision-1)
			}
		}
	}
	if more := len(doc.Invoices) - 1; more > 0 {
		impact.Sentence += fmt.Sprintf(", and %d more of the same file", more)
	}
	impact.Sentence += ". Nothing is booked before it is allocated."
	return impact, nil
}
