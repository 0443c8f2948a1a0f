package app

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/export"
	"tollbook/app/export/erp"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/db"
)

// Exports is the area of what finance's own systems take: the journal as their files, what
// they call our accounts and nodes, and what they made of it.
type Exports struct {
	db      *db.DB
	access  *Access
	changes *Changes
	ring    *secret.Keyring
	version string // of the program, for manifests
}

// NewExports makes the area.
func NewExports(d *db.DB, access *Access, changes *Changes, ring *secret.Keyring, version string) *Exports {
	x := &Exports{db: d, access: access, changes: changes, ring: ring, version: version}
	x.govern()
	return x
}

// maxExportLines bounds what is read of a month: as many lines as a journal may have.
const maxExportLines = 250_000

var (
	// ErrExportAbsent reports an export that is not there, or not the reader's.
	ErrExportAbsent = fault.New(fault.KindNotFound, "export_absent", "There is no such export.")
	errExportSystem = fault.New(fault.KindNotFound, "export_system_unused", "The company does not export to that system: propose a mapping of its accounts and nodes first.")
	errExportLines  = fault.New(fault.KindConflict, "export_lines", fmt.Sprintf("The month has more than %d lines, which is the most that one journal holds.", maxExportLines))
	errExportEmpty  = fault.New(fault.KindNotFound, "export_empty", "Nothing that would be exported is posted to that month.")
)

// final tells whether the books of a month in a state take no entry: what is exported of
// any other month is a draft, and nobody acknowledges it. The database holds the same in
// month_is_final.
func final(state period.State) bool { return state.Shut() }

// exportMonth is all that exports of a month to a system are made of.
type exportMonth struct {
	slug    string
	month   period.Month
	state   period.State
	mapping *SystemMapping
	format  erp.Format
	rows    []db.PostedLineRow
	trees   *forest
	exports []db.ExportRow               // of the system: those that are no draft, then drafts, each the newest first
	held    map[id.Export][]id.Entry     // entries of exports that stand
	own     map[ownKey]map[string]string // what nodes state by themselves
}

type ownKey struct {
	node id.Node
	at   time.Time
}

// readExport reads a month for a system.
func readExport(tx *db.Tx, month period.Month, mapping *SystemMapping) (*exportMonth, error) {
	m := &exportMonth{month: month, mapping: mapping, format: mapping.format(), held: map[id.Export][]id.Entry{}, own: map[ownKey]map[string]string{}}
	row, err := tx.TenantRow()
	if err != nil {
		return nil, err
	}
	m.slug = row.Slug
	if m.state, err = tx.PeriodState(month); err != nil {
		return nil, err
	}
	if m.rows, err = tx.PostedLines(month, maxExportLines+1); err != nil {
		return nil, err
	}
	if len(m.rows) > maxExportLines {
		return nil, errExportLines
	}
	if m.trees, err = forestSince(tx, month.Start()); err != nil {
		return nil, err
	}
	all, err := tx.Exports(month, maxExportsOfMonth)
	if err != nil {
		return nil, err
	}
	if len(all) == maxExportsOfMonth && !all[len(all)-1].Draft { // one that counts may be missing
		return nil, errExportsMany
	}
	for i := range all {
		if all[i].System == mapping.System {
			m.exports = append(m.exports, all[i])
		}
	}
	held, err := tx.ExportedEntries(mapping.System, month)
	for _, e := range held {
		m.held[e.ExportID] = append(m.held[e.ExportID], e.EntryID)
	}
	return m, err
}

// maxExportsOfMonth bounds what is listed of a month: what is no draft, and the latest
// drafts, as many as a draft a day to each system and entity for months.
const maxExportsOfMonth = 2000

var errExportsMany = fault.New(fault.KindConflict, "exports_many", "The month has more exports than one page or file of it takes, 2,000: what went out before cannot be told from what did not.")

// entities lists those that have lines, by code.
func (m *exportMonth) entities() []string {
	var list []string
	for i := range m.rows {
		if e := m.rows[i].Entity; len(list) == 0 || list[len(list)-1] != e {
			list = append(list, e)
		}
	}
	return list
}

// exported lists the entries of an entity that an export holds which stands.
func (m *exportMonth) exported(entity string) map[id.Entry]bool {
	done := map[id.Entry]bool{}
	for i := range m.exports {
		if x := &m.exports[i]; x.Entity == entity {
			for _, e := range m.held[x.ExportID] {
				done[e] = true
			}
		}
	}
	return done
}

// bundle is a journal with what its manifest says beside it.
type bundle struct {
	journal  *erp.Journal
	entries  []export.Posted
	ids      []id.Entry
	changes  []string // that asked for entries
	lines    int
	showback int // entries that are shown and not charged
	zeros    int // lines of less than a cent
}

// bundle makes an entity's journal of the entries that are wanted.
func (m *exportMonth) bundle(entity string, want func(id.Entry) bool) (*bundle, error) {
	b := &bundle{journal: &erp.Journal{
		Company: m.slug, Entity: entity, Currency: ledger.USD, Period: m.month, PostedOn: m.month.End().AddDate(0, 0, -1),
		Title: "Claude usage " + m.month.String(),
	}}
	shown := map[id.Entry]bool{}
	for i := range m.rows {
		row := &m.rows[i]
		if row.Entity != entity || !want(row.EntryID) {
			continue
		}
		switch {
		case ledger.Treatment(row.Treatment) == ledger.Showback:
			shown[row.EntryID] = true
			continue
		case row.Cents == 0:
			b.zeros++
			continue
		}
		if err := m.add(b, row); err != nil {
			return nil, err
		}
	}
	b.showback = len(shown)
	return b, nil
}

// add puts a line into a journal.
func (m *exportMonth) add(b *bundle, row *db.PostedLineRow) error {
	j := b.journal
	if last := len(j.Entries) - 1; last < 0 || j.Entries[last].ID != row.EntryID.String() {
		j.Entries = append(j.Entries, erp.Entry{ID: row.EntryID.String()})
		b.entries, b.ids = append(b.entries, export.Posted{ID: row.EntryID.String(), Number: row.Number}), append(b.ids, row.EntryID)
		if row.ChangeID != nil {
			b.changes = append(b.changes, row.ChangeID.String())
		}
		if made := row.RecordedAt.UTC().Truncate(oneDay); made.After(j.PreparedOn) {
			j.PreparedOn = made
		}
	}
	own, err := m.ownOf(row)
	if err != nil {
		return err
	}
	e := &j.Entries[len(j.Entries)-1]
	cents := money.Cents(row.Cents)
	e.Lines = append(e.Lines, erp.Line{
		Kind: row.Account, GLAccount: row.GLAccount, Node: row.NodeCode, Partner: row.Counterparty, Capitalization: row.Capitalization,
		Debit: max(cents, 0), Credit: max(-cents, 0), Memo: row.Memo, Own: own,
	})
	b.lines++
	return nil
}

// ownOf is what a line's node, or the nearest above it, states for fields of the system
// on the day of the entry.
func (m *exportMonth) ownOf(row *db.PostedLineRow) (map[string]string, error) {
	if row.NodeID == nil || !slices.Contains(hierarchySystems(), m.mapping.System) {
		return nil, nil
	}
	at := row.EntryDate.UTC().Add(oneDay - time.Microsecond)
	key := ownKey{*row.NodeID, m.trees.turned(at)}
	if own, known := m.own[key]; known {
		return own, nil
	}
	tree, err := m.trees.at(at)
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for _, above := range tree.Above(*row.NodeID) {
		v, _ := tree.Node(above)
		for name, value := range v.Dimensions.Codes()[m.mapping.System] {
			if field, ok := m.format.FieldOf(name); ok {
				own[field] = value
			}
		}
	}
	m.own[key] = own
	return own, nil
}

// fresh is the journal of what no export that stands holds yet.
func (m *exportMonth) fresh(entity string) (*bundle, error) {
	done := m.exported(entity)
	return m.bundle(entity, func(e id.Entry) bool { return !done[e] })
}

// revisions is the latest revision of an entity's exports, drafts or final ones.
func (m *exportMonth) revisions(entity string, draft bool) int {
	n := 0
	for i := range m.exports {
		if x := &m.exports[i]; x.Entity == entity && x.Draft == draft {
			n = max(n, x.Revision)
		}
	}
	return n
}

var notInID = regexp.MustCompile(`[^A-Z0-9]`)

// draftID stands in the external ids of drafts.
const draftID = "DRAFT"

// externalID names a journal in the system it goes to, and is never used again: company,
// month, entity, whether it is a draft, and revision, with a hyphen in none but the first.
// What an entity's name loses here comes back as a digest, so that no two entities share
// an id where a system tells US from us-1. Parts of a journal add P and their number.
func externalID(slug string, month period.Month, entity string, draft bool, revision int) string {
	parts := []string{"TB", slug, strings.ReplaceAll(month.String(), "-", "")}
	if entity != "" {
		plain := notInID.ReplaceAllString(strings.ToUpper(entity), "")
		if plain != entity || len(plain) > maxIDPart || plain == draftID {
			plain = plain[:min(len(plain), maxIDPart)] + shortDigest(entity)
		}
		parts = append(parts, plain)
	}
	if draft {
		parts = append(parts, draftID)
	}
	return strings.Join(append(parts, strconv.Itoa(revision)), "-")
}

// shortDigest tells names apart that print alike.
func shortDigest(name string) string {
	digest := sha256.Sum256([]byte(name))
	return hex.EncodeToString(digest[:4])
}

// maxIDPart keeps external ids within what systems take.
const maxIDPart = 16

// named gives a journal its id of a revision.
func (m *exportMonth) named(b *bundle, draft bool, revision int) {
	j := b.journal
	j.ExternalID, j.Memo = externalID(m.slug, m.month, j.Entity, draft, revision), "Claude usage of "+m.month.String()
	if j.Entity != "" {
		j.Memo += " in " + j.Entity
	}
	if draft {
		j.Memo = "DRAFT: " + j.Memo
	}
}

// about is what manifests of a journal's files say of how it came about.
func (x *Exports) about(tx *db.Tx, who Actor, m *exportMonth, b *bundle, draft bool) (export.Manifest, error) {
	out := export.Manifest{
		CodeVersion: x.version, Tenant: m.slug, TenantID: tx.Tenant.String(), AsOf: tx.Now, KnownAt: tx.Now, RunAt: tx.Now, RunBy: runBy(who),
		Entries: b.entries, Approvals: append(slices.Clone(b.changes), m.mapping.Change.String()),
		Filters: []export.Pair{{Name: "state", Value: "FINAL"}, {Name: "system", Value: m.mapping.System}, {Name: "mapping_version", Value: strconv.Itoa(m.mapping.Version)}},
		ControlTotals: []export.Pair{
			{Name: "entries", Value: strconv.Itoa(len(b.entries))}, {Name: "showback_entries_left_out", Value: strconv.Itoa(b.showback)}, {Name: "zero_lines_left_out", Value: strconv.Itoa(b.zeros)},
		},
	}
	if draft {
		out.Filters[0].Value = "DRAFT"
	}
	return out, logged(tx, &out)
}

// logged says in a manifest how far the log reached, and was signed.
func logged(tx *db.Tx, m *export.Manifest) error {
	last, waiting, err := tx.LogEnd()
	if err != nil {
		return err
	}
	m.AuditSequence = export.Sequence{Last: last, Waiting: waiting}
	heads, err := tx.Checkpoints(math.MaxInt64, 1)
	if err != nil || len(heads) == 0 {
		return err
	}
	m.Checkpoint = &export.Checkpoint{Size: heads[0].Size, Root: base64.StdEncoding.EncodeToString(heads[0].Root)}
	return nil
}

func runBy(who Actor) export.RunBy {
	var roles []string
	for _, g := range who.Grants {
		if role := string(g.Role); !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	return export.RunBy{ID: who.ID(), Name: who.Name, Roles: strings.Join(roles, ", ")}
}
