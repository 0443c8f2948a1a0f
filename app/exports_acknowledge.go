package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/export/erp"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/db"
)

// Acknowledged is a document of an export with what the system made of it.
type Acknowledged struct {
	Document   string
	File       string
	ERPID      string    // empty: not acknowledged
	PostedOn   time.Time // a UTC day
	Change     id.Change
	Place      int // how often it was said, corrections among it
	RecordedAt time.Time
}

func acknowledged(tx *db.Tx, of *ExportCase) ([]Acknowledged, error) {
	rows, err := tx.Acknowledgments(of.System, of.Period)
	if err != nil {
		return nil, err
	}
	said := map[string]db.AcknowledgmentRow{}
	for _, r := range rows {
		if r.ExportID == of.ID {
			said[r.Document] = r
		}
	}
	var list []Acknowledged
	for i := range of.FileList {
		for _, document := range of.FileList[i].Manifest.Journals {
			r := said[document]
			list = append(list, Acknowledged{
				Document: document, File: of.FileList[i].Name, ERPID: r.ErpID, PostedOn: r.PostedOn.UTC(), Change: r.ChangeID, Place: r.Place, RecordedAt: r.RecordedAt.UTC(),
			})
		}
	}
	return list, nil
}

// AcknowledgeAsk is what a system made of documents: a CSV of external_id, erp_id and
// posted_on, a line for each.
type AcknowledgeAsk struct {
	System   string
	Month    period.Month // whose documents they are; zero: any
	File     []byte
	Corrects bool // some of them are acknowledged already, otherwise
}

const (
	maxAcknowledged    = 1000
	maxExportDocuments = 100_000
	maxERPID           = 100
)

// AcknowledgeHeads are the columns of the file of ids.
func AcknowledgeHeads() []string { return []string{"external_id", "erp_id", "posted_on"} }

// acknowledgment is a line of a file of ids, as a change keeps it.
type acknowledgment struct {
	ExternalID string `json:"external_id"`
	ERPID      string `json:"erp_id"`
	PostedOn   string `json:"posted_on"`
}

// Acknowledge keeps the ids that a system gave to documents, all of a file or none: where
// a line is wrong it says so by line and column, and nothing is kept.
func (x *Exports) Acknowledge(ctx context.Context, who Actor, ask AcknowledgeAsk) ([]erp.Flaw, error) {
	_, flaws, err := x.acknowledge(ctx, who, ask, "")
	return flaws, err
}

func (x *Exports) acknowledge(ctx context.Context, who Actor, ask AcknowledgeAsk, once string) (kept KeptFile, flaws []erp.Flaw, err error) {
	if err := x.changes.allowed(who, changeAcknowledged); err != nil {
		return kept, nil, err
	}
	rows, flaws := erp.ReadTable(AcknowledgeHeads(), len(AcknowledgeHeads()), ask.File, maxAcknowledged)
	if len(flaws) == 0 && len(rows) == 0 {
		flaws = []erp.Flaw{{Line: 1, Message: "The file has no line below its heads."}}
	}
	if len(flaws) > 0 {
		return kept, flaws, nil
	}
	err = x.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockExports(); err != nil {
			return err
		}
		var err error
		kept, err = doOnce(tx, x.ring, who, once, "export.acknowledge", ask, func() (KeptFile, error) { return x.keepIDs(tx, who, ask, rows) })
		return err
	})
	flaws, err = withoutFlaws(err)
	return kept, flaws, err
}

// keepIDs keeps the ids of a file's lines, or says what is wrong with them.
func (x *Exports) keepIDs(tx *db.Tx, who Actor, ask AcknowledgeAsk, rows []erp.TableRow) (KeptFile, error) {
	kept := KeptFile{Lines: len(rows)}
	known, err := readAcknowledging(tx, ask)
	if err != nil {
		return kept, err
	}
	var said []acknowledgment
	var flaws []erp.Flaw
	for i := range rows {
		flaws = append(flaws, known.take(&rows[i], tx.Now)...)
		c := rows[i].Cells
		said = append(said, acknowledgment{c[0], c[1], c[2]})
	}
	if len(flaws) > 0 {
		return kept, &flawedError{flaws}
	}
	digest := sha256.Sum256(ask.File)
	payload := map[string]any{"system": ask.System, "acknowledgments": said, "file_sha256": hex.EncodeToString(digest[:]), "corrects": ask.Corrects}
	_, err = x.changes.change(tx, who, proposal{kind: changeAcknowledged, payload: payload, reason: "Ids in " + ask.System}, func(c approval.Change) error {
		kept.Change = c.ID
		for i := range known.fresh {
			known.fresh[i].ChangeID = c.ID
		}
		return tx.AddAcknowledgments(known.fresh)
	})
	return kept, err
}

// acknowledging is what lines of ids are held to.
type acknowledging struct {
	corrects  bool
	system    string
	month     period.Month
	documents map[string]db.ExportDocumentRow // by every id they go by
	said      map[string]db.AcknowledgmentRow // by document
	ids       map[string]string               // the document of each of the system's ids
	seen      map[string]int                  // the line of each document of this file
	fresh     []db.AcknowledgmentRow
}

func readAcknowledging(tx *db.Tx, ask AcknowledgeAsk) (*acknowledging, error) {
	known := &acknowledging{
		corrects: ask.Corrects, system: ask.System, month: ask.Month, documents: map[string]db.ExportDocumentRow{}, said: map[string]db.AcknowledgmentRow{}, ids: map[string]string{}, seen: map[string]int{},
	}
	documents, err := tx.ExportDocuments(ask.System, maxExportDocuments)
	if err != nil {
		return nil, err
	}
	for _, d := range documents {
		for _, reference := range erp.References(d.Document) {
			known.documents[reference] = d
		}
	}
	rows, err := tx.Acknowledgments(ask.System, period.Month{})
	for _, r := range rows {
		known.said[r.Document], known.ids[r.ErpID] = r, r.Document
	}
	return known, err
}

// take holds a line to what is known, and tells what is wrong with it.
func (k *acknowledging) take(row *erp.TableRow, now time.Time) []erp.Flaw {
	external, erpID := row.Cells[0], row.Cells[1]
	document, there := k.documents[external]
	posted, err := time.Parse(time.DateOnly, row.Cells[2])
	before := k.said[document.Document]
	switch {
	case !there:
		return flawAt(row, 0, "%.90q is no journal that was exported to %s.", external, k.system)
	case k.month != (period.Month{}) && period.MonthOf(document.PostingPeriod) != k.month:
		return flawAt(row, 0, "%s is of %s, not of %s.", external, period.MonthOf(document.PostingPeriod), k.month)
	case document.Draft:
		return flawAt(row, 0, "%s is a draft: the month was not over, and it is nothing to import.", external)
	case document.Superseded:
		return flawAt(row, 0, "%s was replaced by a later revision.", external)
	case k.seen[document.Document] > 0:
		return flawAt(row, 0, "%s is in line %d already.", external, k.seen[document.Document])
	case erpID == "" || len(erpID) > maxERPID:
		return flawAt(row, 1, "An id has 1 to %d bytes.", maxERPID)
	case k.ids[erpID] != "" && k.ids[erpID] != document.Document:
		return flawAt(row, 1, "%s is the id of %s already.", erpID, k.ids[erpID])
	case err != nil:
		return flawAt(row, 2, "%.40q is no day: YYYY-MM-DD.", row.Cells[2])
	case posted.Before(document.PostingPeriod) || posted.After(now.AddDate(0, 0, 1)):
		return flawAt(row, 2, "%s was posted from %s on, and not later than today; not on %s.", external, document.PostingPeriod.Format(time.DateOnly), row.Cells[2])
	case before.Place > 0 && !k.corrects:
		return flawAt(row, 0, "%s is acknowledged already, as %s. Say that the file corrects what was said before.", external, before.ErpID)
	case before.Place > 0 && before.ErpID == erpID && before.PostedOn.Equal(posted):
		return flawAt(row, 0, "%s is acknowledged as that already.", external)
	}
	k.seen[document.Document], k.ids[erpID] = row.Line, document.Document
	k.fresh = append(k.fresh, db.AcknowledgmentRow{ExportID: document.ExportID, Document: document.Document, Place: before.Place + 1, ErpID: erpID, PostedOn: posted})
	return nil
}

func flawAt(row *erp.TableRow, cell int, format string, args ...any) []erp.Flaw {
	return []erp.Flaw{row.Flaw(cell, fmt.Sprintf(format, args...))}
}
