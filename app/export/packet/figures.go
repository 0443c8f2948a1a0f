package packet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tollbook/app/export"
	"tollbook/app/fault"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/variance"
)

// State is whether a packet's figures may still change.
type State string

// The states of a packet.
const (
	Draft State = "DRAFT"
	Final State = "FINAL"
)

// StateOf is what a packet made of a month in a state of the books is: FINAL once nothing
// can be posted to it any more.
func StateOf(books period.State) State {
	if books.Shut() {
		return Final
	}
	return Draft
}

// Scope is the part of a company that a packet is about.
type Scope struct {
	Code string `json:"code"` // of a node, with all below it; empty: the whole company
	Name string `json:"name"`
}

// Whole tells whether it is the whole company.
func (s Scope) Whole() bool { return s.Code == "" }

// Node is one element of the hierarchy in a month.
type Node struct {
	Code, Name     string
	Path           string // codes from the scope's root down, joined by " / "
	Kind           string
	Capitalization string
	Depth          int   // below the scope's root
	Plan           *Plan // of it and all below it; nil: nothing is planned
	Requests       int64 // with what is below it
	Tokens         int64
}

// Leaf is what was charged at one place, where it was in the tree when it was charged.
type Leaf struct {
	Nodes  []int // of Figures.Nodes: the node itself last, before it those above it
	Amount money.Sum
	Prior  money.Sum // of the month before
}

// Plan is what was approved.
type Plan struct {
	Month  money.Cents
	ToDate money.Cents
}

// Class is what one model and token class came to.
type Class struct {
	Model, Class string
	Tokens       int64
	Amount       money.Sum
}

// Day is what was charged to one node itself on one UTC day.
type Day struct {
	Code, Path       string
	Day              time.Time
	Requests, Tokens int64
	Amount           money.Sum
}

// Movement is why the month differs from the one before, over the same whole days.
type Movement struct {
	Through, Before int // the last days compared, of the month and of the one before; 0: none yet
	Whole           bool
	Split           variance.Split
}

// Decision is what a person decided that the figures rest on.
type Decision struct {
	Number  int64     `json:"change"`
	Kind    string    `json:"kind"` // in words
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	For     string    `json:"for,omitempty"` // whom they stood in for
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
	Verdict string    `json:"verdict"`
	Digest  string    `json:"digest"` // hexadecimal, of what was decided
}

// Head is a signed head of the audit log.
type Head struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   string `json:"root"` // base64
}

// Control is the month summed independently from what gateways flushed.
type Control struct {
	Total      money.Sum
	Difference money.Sum
}

// Books are the journal of a month; a packet of a part of the company has none.
type Books struct {
	Entries  []ledger.Entry // with their lines, the lowest number first
	Accrued  money.Cents    // owed to the provider at the month's end, above zero
	Rounding money.Cents
	Waiting  int // days whose charges are not posted as they stand
}

// Figures is all that a packet tells of a month.
type Figures struct {
	Company         string
	LegalName       string // empty: Company
	Confidentiality string
	Slug, TenantID  string
	Zone            string // IANA, for what is shown beside UTC
	Month           period.Month
	BooksState      period.State
	Scope           Scope
	Revision        int
	At              time.Time // the packet's instant: as of, known at, run at
	CodeVersion     string
	RunBy           export.RunBy
	Sequence        export.Sequence
	Head            *Head // the latest signed head when it was made; nil: none yet

	Requests, Tokens, Provisional, Errors int64
	Suspense                              *money.Sum // nil: not told of a part of the company
	Capitalized                           money.Sum
	Plan                                  *Plan
	PlanVersion                           int
	Control                               *Control // nil for a part of the company
	Nodes                                 []Node   // in the order of the tree
	Leaves                                []Leaf
	Classes                               []Class
	Days                                  []Day
	Movement                              Movement
	Books                                 *Books
	DecisionsLeft                         int // approvals, the latest, that there was no room for in Decisions
	Decisions                             []Decision
	Invoices                              []Invoice // issued for cycles that end in the month; nil for a part of the company
	Shares                                []Share   // of those that are booked: in a part of the company, what its nodes bear
	Reconciled                            []Reconciled
	Variances                             []Variance
	Simulated                             bool // what the provider reports comes from an address that is not the provider's
	Steps                                 []Step
	Moves                                 []Move // of the month's books, the earliest first
	BooksRevision                         int    // of the month: it begins another one whenever it is reopened
	Exported                              []Exported
	Elsewhere                             []Spend
	Comments                              []Comment
	Disputes                              []Dispute
	Attachments                           []Attachment
	Absent                                []LeftOut  // files that could not be made of the month, with why instead of where
	Changes                               []Change   // since the revision before; nil: there is none
	Corrects                              *Corrected // nil: it takes no final revision's place

	settled *settled
}

// State is what the packet is.
func (f *Figures) State() State { return StateOf(f.BooksState) }

// Paper is the name that papers carry.
func (f *Figures) Paper() string {
	if f.LegalName != "" {
		return f.LegalName
	}
	return f.Company
}

// Title names a packet in one line: company, month, revision and state.
func (f *Figures) Title() string {
	of := f.Company
	if !f.Scope.Whole() {
		of += " " + f.Scope.Code
	}
	return fmt.Sprintf("%s %s, revision %d, %s", of, f.Month, f.Revision, f.Mark())
}

// Mark is the state as papers carry it: a final packet that takes another one's place says
// so.
func (f *Figures) Mark() string { return Mark(f.State(), f.Corrects != nil) }

// Mark is a state in words.
func Mark(s State, corrected bool) string {
	if corrected {
		return string(s) + ", CORRECTED"
	}
	return string(s)
}

// settled is the figures in cents that add up.
type settled struct {
	total, prior         money.Sum
	cents, priorCents    money.Cents
	node, own, priorNode []money.Cents // beside Nodes: with what is below, without, with it in the month before
	class, day           []money.Cents // beside Classes and Days
}

// settle rounds once: the leaves to cents that add up to the rounded total, and every level
// above is the sum of its leaves.
func (f *Figures) settle() (*settled, error) {
	if f.settled != nil {
		return f.settled, nil
	}
	s := &settled{node: make([]money.Cents, len(f.Nodes)), own: make([]money.Cents, len(f.Nodes)), priorNode: make([]money.Cents, len(f.Nodes))}
	now, prior, classes, days := make([]money.Sum, len(f.Leaves)), make([]money.Sum, len(f.Leaves)), make([]money.Sum, len(f.Classes)), make([]money.Sum, len(f.Days))
	for i := range f.Leaves {
		now[i], prior[i] = f.Leaves[i].Amount, f.Leaves[i].Prior
		s.total.AddSum(&now[i])
		s.prior.AddSum(&prior[i])
	}
	for i := range f.Classes {
		classes[i] = f.Classes[i].Amount
	}
	for i := range f.Days {
		days[i] = f.Days[i].Amount
	}
	if err := agree(&s.total, "model and token class", classes); err != nil {
		return nil, err
	}
	if err := agree(&s.total, "day", days); err != nil {
		return nil, err
	}
	if err := f.ties(); err != nil {
		return nil, err
	}
	var leaves, before []money.Cents
	for _, one := range []struct {
		exact []money.Sum
		into  *[]money.Cents
	}{{now, &leaves}, {prior, &before}, {classes, &s.class}, {days, &s.day}} {
		cents, err := money.WholeCents(one.exact)
		if err != nil {
			return nil, err
		}
		*one.into = cents
	}
	for i := range f.Leaves {
		s.cents += leaves[i]
		s.priorCents += before[i]
		for _, n := range f.Leaves[i].Nodes {
			s.node[n] += leaves[i]
			s.priorNode[n] += before[i]
		}
		if n := len(f.Leaves[i].Nodes); n > 0 {
			s.own[f.Leaves[i].Nodes[n-1]] += leaves[i]
		}
	}
	f.settled = s
	return s, nil
}

// agree refuses figures of which one table comes to another total than the leaves.
func agree(total *money.Sum, by string, amounts []money.Sum) error {
	var sum money.Sum
	for i := range amounts {
		sum.AddSum(&amounts[i])
	}
	if sum.Cmp(total) != 0 {
		return fault.New(fault.KindInternal, "packet_sums", fmt.Sprintf("The figures by %s come to %s, and by node to %s: no packet is made of figures that disagree.", by, sum.String(), total.String()))
	}
	return nil
}

// Digest is what makes figures others than those before: all of them, but not when they were
// read, by whom, how far the log had come, what number the packet has, or that a locked month
// was closed.
func (f *Figures) Digest() (string, error) {
	if f.BooksState == period.StateClosed {
		locked := *f
		locked.BooksState = period.StateLocked // closing what is locked changes no figure
		return locked.Digest()
	}
	same := *f
	same.Revision, same.At, same.RunBy, same.Sequence, same.Head, same.CodeVersion, same.Changes, same.Corrects, same.settled = 0, time.Time{}, export.RunBy{}, export.Sequence{}, nil, "", nil, nil, nil
	if same.BooksState.Shut() { // closing what is locked moves nothing
		same.BooksState = period.StateLocked
		for k := len(same.Moves) - 1; k >= 0 && same.Moves[k].To != period.StateLocked; k-- {
			same.Moves = same.Moves[:k]
		}
	}
	document, err := json.Marshal(same)
	if err != nil {
		return "", fmt.Errorf("encode figures: %w", err)
	}
	digest := sha256.Sum256(document)
	return hex.EncodeToString(digest[:]), nil
}

// Snapshot is what is kept of a revision to tell the next one what changed.
type Snapshot struct {
	State    State                  `json:"state"`
	Total    money.Sum              `json:"total_pico"`
	Suspense *money.Sum             `json:"suspense_pico,omitempty"`
	Nodes    map[string]money.Cents `json:"nodes"` // by path, with what is below
	Plan     *money.Cents           `json:"plan_cents,omitempty"`
	Accrued  *money.Cents           `json:"accrued_cents,omitempty"`
	Entries  int                    `json:"entries"`
	Numbers  []int64                `json:"entry_numbers,omitempty"`
	Tables   map[string]string      `json:"tables,omitempty"` // control totals beyond those of charges, by table and name
	Files    []string               `json:"files"`
}

// Snapshot is what to keep of these figures.
func (f *Figures) Snapshot() (Snapshot, error) {
	s, err := f.settle()
	if err != nil {
		return Snapshot{}, err
	}
	out := Snapshot{State: f.State(), Total: s.total, Suspense: f.Suspense, Nodes: map[string]money.Cents{}}
	for i := range f.Nodes {
		out.Nodes[f.Nodes[i].Path] += s.node[i]
	}
	if f.Plan != nil {
		out.Plan = &f.Plan.Month
	}
	if f.Books != nil {
		out.Accrued, out.Entries = &f.Books.Accrued, len(f.Books.Entries)
		for i := range f.Books.Entries {
			out.Numbers = append(out.Numbers, f.Books.Entries[i].Number)
		}
	}
	tables, err := f.tables()
	if err != nil {
		return Snapshot{}, err
	}
	out.Tables = map[string]string{}
	for i := range tables {
		for _, c := range tables[i].controls {
			if !slices.Contains(s.control(), c) {
				out.Tables[tables[i].title+", "+totalWords(c.Name)] = c.Value
			}
		}
	}
	for _, a := range f.Attachments {
		out.Files = append(out.Files, a.Name)
	}
	return out, nil
}

// Change is one thing that is otherwise than in the revision before.
type Change struct {
	Of     string `json:"of,omitempty"` // what it is about: a node, a table, or the packet as a whole where it is empty
	What   string `json:"what"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// What a change is about, beside the packet as a whole.
const (
	OfNode  = "node"
	OfTable = "table"
)

// maxChanges bounds the changes that are listed one by one.
const maxChanges = 40

// Since tells what these figures say otherwise than those of a revision before.
func (s *Snapshot) Since(before *Snapshot) []Change {
	list := []Change{}
	add := func(of, what, was, is string) {
		if was != is {
			list = append(list, Change{Of: of, What: what, Before: was, After: is})
		}
	}
	add("", "State", string(before.State), string(s.State))
	add("", "Actual", dollars(before.Total.Display()), dollars(s.Total.Display()))
	if before.Total.Display() == s.Total.Display() {
		add("", "Actual, exact", before.Total.String(), s.Total.String())
	}
	if before.Suspense != nil && s.Suspense != nil {
		add("", "Suspense", dollars(before.Suspense.Display()), dollars(s.Suspense.Display()))
	}
	add("", "Plan of the month", maybe(before.Plan), maybe(s.Plan))
	add("", "Accrued liability", maybe(before.Accrued), maybe(s.Accrued))
	add("", "Journal entries", count(int64(before.Entries)), count(int64(s.Entries)))
	if before.Numbers != nil || before.Entries == 0 {
		add("", "Entries added", "", listed(without(s.Numbers, before.Numbers)))
	}
	add("", "Files added", "", listed(without(s.Files, before.Files)))
	add("", "Files that are gone", listed(without(before.Files, s.Files)), "")
	for _, name := range slices.Sorted(maps.Keys(s.Tables)) {
		if was, there := before.Tables[name]; there {
			add(OfTable, name, was, s.Tables[name])
		}
	}
	more := 0
	for _, path := range s.moved(before) {
		if len(list) >= maxChanges {
			more++
			continue
		}
		add(OfNode, path, dollars(before.Nodes[path]), dollars(s.Nodes[path]))
	}
	if more > 0 {
		list = append(list, Change{Of: OfNode, What: fmt.Sprintf("%d more nodes", more)})
	}
	if len(list) == 0 {
		list = append(list, Change{What: "Details alone: no total of this list is another"})
	}
	return list
}

// moved are the paths of nodes that came to another amount, the largest difference first.
func (s *Snapshot) moved(before *Snapshot) []string {
	paths := map[string]money.Cents{}
	for path := range s.Nodes {
		paths[path] = abs(s.Nodes[path] - before.Nodes[path])
	}
	for path := range before.Nodes {
		paths[path] = abs(s.Nodes[path] - before.Nodes[path])
	}
	maps.DeleteFunc(paths, func(_ string, difference money.Cents) bool { return difference == 0 })
	return slices.SortedFunc(maps.Keys(paths), func(a, b string) int { return cmp.Or(cmp.Compare(paths[b], paths[a]), cmp.Compare(a, b)) })
}

// totalWords is the name of a control total as people read it.
func totalWords(name string) string {
	return strings.ReplaceAll(strings.TrimSuffix(name, "_usd"), "_", " ")
}

// without are those of a list that another one lacks.
func without[T comparable](list, other []T) (rest []T) {
	there := map[T]bool{}
	for _, one := range other {
		there[one] = true
	}
	for _, one := range list {
		if !there[one] {
			rest = append(rest, one)
		}
	}
	return rest
}

// maxListed bounds what a change names one by one.
const maxListed = 12

// listed are the first few of a list, and how many more.
func listed[T any](list []T) string {
	var words []string
	for i, one := range list {
		if i == maxListed {
			words = append(words, fmt.Sprintf("%d more", len(list)-maxListed))
			break
		}
		words = append(words, fmt.Sprint(one))
	}
	return strings.Join(words, ", ")
}

func maybe(c *money.Cents) string {
	if c == nil {
		return "none"
	}
	return dollars(*c)
}

const pathJoint = " / "

// above is the path of what is above a path; empty above a root.
func above(path string) string {
	at := strings.LastIndex(path, pathJoint)
	if at < 0 {
		return ""
	}
	return path[:at]
}
