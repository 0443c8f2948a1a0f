package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/export/erp"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/db"
)

// SystemMapping is what one system calls our accounts, nodes, entities and months.
type SystemMapping struct {
	System       string
	Version      int // 0: there is none yet
	InUse        bool
	Mapping      erp.Mapping
	Columns      []erp.MapColumn // Workday's layout; nil elsewhere
	RulesFile    string          // as CSV
	ColumnsFile  string          // as CSV; empty where the system has its own layout
	Change       id.Change
	ChangeNumber int64
	Maker        string
	Reason       string
	Digest       string
	RecordedAt   time.Time
}

// workday is the system whose layout each company makes itself.
const workday = "workday"

func hierarchySystems() []string { return hierarchy.Systems() }

// format is the system's layout. The system is one of erp.Names, which a mapping is held to.
func (m *SystemMapping) format() erp.Format {
	if m.System == workday {
		return erp.Workday(m.Columns)
	}
	f, _ := erp.ByName(m.System)
	return f
}

// mappingDocument is what is stored of a version: both files as they are printed.
type mappingDocument struct {
	Columns string `json:"columns"`
	Rules   string `json:"rules"`
}

func systemMapping(r *db.AccountMappingRow) (SystemMapping, error) {
	m := SystemMapping{
		System: r.System, Version: r.Version, InUse: r.InUse, Change: r.ChangeID, ChangeNumber: r.Number, Maker: r.Maker, Reason: r.Reason,
		Digest: hex.EncodeToString(r.Digest), RecordedAt: r.RecordedAt.UTC(),
	}
	var doc mappingDocument
	if err := json.Unmarshal(r.Document, &doc); err != nil {
		return m, fmt.Errorf("read mapping of %s: %w", r.System, err)
	}
	_, flaws := m.read(doc)
	if len(flaws) > 0 {
		return m, fmt.Errorf("read mapping of %s: line %d: %s", r.System, flaws[0].Line, flaws[0].Message)
	}
	return m, nil
}

// FileFlaw is what is wrong with one of a mapping's files.
type FileFlaw struct {
	erp.Flaw
	File string // rules or columns
}

// read takes both files, or tells all that is wrong with them.
func (m *SystemMapping) read(doc mappingDocument) (mappingDocument, []FileFlaw) {
	var flaws []FileFlaw
	tell := func(file string, found []erp.Flaw) {
		for _, f := range found {
			flaws = append(flaws, FileFlaw{f, file})
		}
	}
	var found []erp.Flaw
	m.Mapping, found = erp.ParseMapping(m.System, []byte(doc.Rules))
	tell("rules", found)
	if m.System == workday {
		if m.Columns, found = erp.ParseColumns([]byte(doc.Columns)); len(found) > 0 {
			tell("columns", found)
		}
	}
	if len(flaws) > 0 {
		return doc, flaws
	}
	rules, err := erp.PrintMapping(&m.Mapping)
	if err == nil && m.System == workday {
		var columns []byte
		columns, err = erp.PrintColumns(m.Columns)
		doc.Columns = string(columns)
	}
	if err != nil {
		return doc, []FileFlaw{{erp.Flaw{Line: 1, Message: err.Error()}, "rules"}}
	}
	doc.Rules = string(rules)
	m.RulesFile, m.ColumnsFile = doc.Rules, doc.Columns
	return doc, nil
}

// blankMapping is what a system's first mapping begins with.
func blankMapping(system string) (SystemMapping, error) {
	if _, err := erp.ByName(system); err != nil {
		return SystemMapping{}, err
	}
	m := SystemMapping{System: system, Mapping: erp.Mapping{System: system}, RulesFile: "field,source,code,value,effective_from,effective_to\r\n"}
	if system == workday {
		columns, err := erp.PrintColumns(erp.DefaultColumns())
		if err != nil {
			return m, err
		}
		m.Columns, m.ColumnsFile = erp.DefaultColumns(), string(columns)
	}
	return m, nil
}

// latestMapping is the one in force; a blank one where there is none.
func latestMapping(tx *db.Tx, system string) (SystemMapping, error) {
	m, err := blankMapping(system)
	if err != nil {
		return m, err
	}
	rows, err := tx.AccountMappingVersions(system, 1)
	if err != nil || len(rows) == 0 {
		return m, err
	}
	return systemMapping(&rows[0])
}

// Mapping is a system's mapping in force, with its history, the latest first.
func (x *Exports) Mapping(ctx context.Context, who Actor, system string) (SystemMapping, []SystemMapping, error) {
	if err := x.access.Check(who, "export", "read"); err != nil {
		return SystemMapping{}, nil, err
	}
	var m SystemMapping
	var history []SystemMapping
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		if m, err = latestMapping(tx, system); err != nil {
			return err
		}
		rows, err := tx.AccountMappingVersions(system, maxMappingVersions)
		for i := range rows {
			r := &rows[i]
			history = append(history, SystemMapping{
				System: r.System, Version: r.Version, InUse: r.InUse, Change: r.ChangeID, ChangeNumber: r.Number, Maker: r.Maker, Reason: r.Reason, RecordedAt: r.RecordedAt.UTC(),
			})
		}
		return err
	})
	return m, history, err
}

// maxMappingVersions bounds what is shown of a mapping's history.
const maxMappingVersions = 100

// MappingAsk is a mapping to be approved.
type MappingAsk struct {
	System  string `json:"system"`
	InUse   bool   `json:"in_use"`
	Rules   string `json:"rules"`   // CSV
	Columns string `json:"columns"` // CSV; Workday alone
	Base    int    `json:"base_version"`
}

// MappingDraft is what a mapping would do, before anything is written.
type MappingDraft struct {
	System         string
	Base           int
	Flaws          []FileFlaw
	Added, Removed []erp.Rule
	Columns        bool // the layout would be another
	Use            bool // whether the system is used would change

	document []byte
	rules    int
}

// Same tells whether nothing would change.
func (d *MappingDraft) Same() bool {
	return len(d.Added)+len(d.Removed) == 0 && !d.Columns && !d.Use
}

// DryRun tells what a mapping would change and every flaw in it; nothing is written.
func (x *Exports) DryRun(ctx context.Context, who Actor, want MappingAsk) (MappingDraft, error) {
	if err := x.changes.allowed(who, changeAccounts); err != nil {
		return MappingDraft{}, err
	}
	var d MappingDraft
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		d, _, err = draftMapping(tx, want)
		return err
	})
	return d, err
}

// draftMapping compares a mapping with the one in force.
func draftMapping(tx *db.Tx, want MappingAsk) (MappingDraft, SystemMapping, error) {
	d := MappingDraft{System: want.System}
	now, err := latestMapping(tx, want.System)
	if err != nil {
		return d, now, err
	}
	d.Base = now.Version
	next := SystemMapping{System: want.System, InUse: want.InUse, Version: now.Version + 1}
	doc, flaws := next.read(mappingDocument{Columns: want.Columns, Rules: want.Rules})
	if d.Flaws = flaws; len(flaws) > 0 {
		return d, next, nil
	}
	if d.document, err = json.Marshal(doc); err != nil {
		return d, next, err
	}
	d.rules, d.Use, d.Columns = len(next.Mapping.Rules), now.InUse != next.InUse, !slices.Equal(now.Columns, next.Columns)
	d.Added, d.Removed = rulesWithout(next.Mapping.Rules, now.Mapping.Rules), rulesWithout(now.Mapping.Rules, next.Mapping.Rules)
	return d, next, nil
}

// rulesWithout lists the rules that are in one list and not in another.
func rulesWithout(rules, others []erp.Rule) []erp.Rule {
	there := map[erp.Rule]bool{}
	for _, r := range others {
		there[r] = true
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r erp.Rule) bool { return there[r] })
}

var (
	errMappingMoved = fault.New(fault.KindConflict, "account_mapping_moved", "Another version of this mapping was approved since. Look at the effect on that one.")
	errMappingSame  = fault.Invalid("rules", "account_mapping_same", "The mapping in force says the same: nothing would change.")
)

// govern tells the funnel of mappings. A second person decides: they say on which accounts
// of the company's books cost lies.
func (x *Exports) govern() {
	x.changes.govern(changeAccounts, governed{
		checks: "finance", floor: approval.FloorSecond, lock: (*db.Tx).LockExports, draft: x.draftAccounts, apply: x.applyAccounts, impact: x.accountsImpact,
	})
}

// accountsDocument is what a change of a mapping says while it waits; the files are kept beside.
type accountsDocument struct {
	System      string `json:"system"`
	InUse       bool   `json:"in_use"`
	BaseVersion int    `json:"base_version"`
	Document    string `json:"document_sha256"`
	Rules       int    `json:"rules"`
	Added       int    `json:"added"`
	Removed     int    `json:"removed"`
	Columns     bool   `json:"columns_change"`
}

// AskAccounts is the proposal of a system's next mapping.
func AskAccounts(want MappingAsk, reason string) Ask { return ask(changeAccounts, reason, want) }

// checkedMapping is a mapping that can be a version.
func checkedMapping(tx *db.Tx, want MappingAsk) (MappingDraft, error) {
	d, _, err := draftMapping(tx, want)
	switch {
	case err != nil:
		return d, err
	case d.Base != want.Base:
		return d, errMappingMoved
	case len(d.Flaws) > 0:
		first := d.Flaws[0]
		return d, fault.Invalid(first.File, "account_mapping_file", "Line %d, column %d of the %s: %s Nothing was taken from the file.", first.Line, first.Column, first.File, first.Message)
	case d.Same():
		return d, errMappingSame
	}
	return d, nil
}

func (x *Exports) draftAccounts(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var want MappingAsk
	if err := strict(payload, &want); err != nil {
		return draft{}, err
	}
	d, err := checkedMapping(tx, want)
	return draft{
		payload: d.payload(want.InUse),
		store:   func(tx *db.Tx, c approval.Change) error { return tx.KeepDocument(c.ID, d.document) },
	}, err
}

func (d *MappingDraft) payload(inUse bool) accountsDocument {
	digest := sha256.Sum256(d.document)
	return accountsDocument{
		System: d.System, InUse: inUse, BaseVersion: d.Base, Document: hex.EncodeToString(digest[:]), Rules: d.rules, Added: len(d.Added), Removed: len(d.Removed), Columns: d.Columns,
	}
}

func (x *Exports) applyAccounts(tx *db.Tx, c approval.Change) error {
	var doc accountsDocument
	if err := stored(c, &doc); err != nil {
		return err
	}
	document, err := tx.KeptDocument(c.ID)
	if err != nil {
		return err
	}
	if digest := sha256.Sum256(document); hex.EncodeToString(digest[:]) != doc.Document {
		return approval.ErrDigest
	}
	now, err := latestMapping(tx, doc.System)
	if err != nil {
		return err
	}
	if now.Version != doc.BaseVersion {
		return errMappingMoved
	}
	return tx.AddAccountMapping(&db.AccountMappingRow{
		System: doc.System, Version: now.Version + 1, InUse: doc.InUse, Document: document, Rules: doc.Rules, EffectiveFrom: c.EffectiveFrom, ChangeID: c.ID,
	})
}

func (x *Exports) accountsImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var doc accountsDocument
	if err := stored(c, &doc); err != nil {
		return approval.Impact{}, err
	}
	sentence := fmt.Sprintf("The mapping to %s gets version %d: %d rules, of which %d are new or changed, and %d of the present ones go. Journals are exported by it from then on; files made before keep their bytes.",
		doc.System, doc.BaseVersion+1, doc.Rules, doc.Added, doc.Removed)
	if doc.Columns {
		sentence += " The layout of its columns is another."
	}
	if !doc.InUse {
		sentence += " Nothing is exported to it any more."
	}
	return approval.Impact{Sentence: sentence}, nil
}

// SetMapping makes a mapping at once, for who sets a company up; where somebody decides
// about mappings it has to be proposed.
func (x *Exports) SetMapping(ctx context.Context, who Actor, want MappingAsk, reason string) error {
	if err := x.changes.allowed(who, changeAccounts); err != nil {
		return err
	}
	return x.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockExports(); err != nil {
			return err
		}
		d, err := checkedMapping(tx, want)
		if err != nil {
			return err
		}
		_, err = x.changes.change(tx, who, proposal{kind: changeAccounts, payload: d.payload(want.InUse), reason: reason}, func(c approval.Change) error {
			if err := tx.KeepDocument(c.ID, d.document); err != nil {
				return err
			}
			return x.applyAccounts(tx, c)
		})
		return err
	})
}
