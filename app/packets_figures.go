package app

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/export"
	"tollbook/app/export/packet"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// gathering is the figures of one packet under way, all of one instant.
type gathering struct {
	p      *Packets
	tx     *db.Tx
	f      *packet.Figures
	month  period.Month
	scope  []id.Node // nil: the whole company
	asOf   time.Time // when the month was locked, or now: names, plan and decisions after it are not its
	places map[id.Placement]placed
	tree   *hierarchy.Tree
	index  map[id.Node]int // of Figures.Nodes
	plan   *MonthPlan
}

// figures reads all that a packet of a month tells. What a later part of the product adds
// to packets is one more step in this list.
func (p *Packets) figures(tx *db.Tx, by builder, month period.Month, scope *id.Node) (*packet.Figures, error) {
	g := &gathering{p: p, tx: tx, month: month, asOf: tx.Now, index: map[id.Node]int{}, f: &packet.Figures{
		Month: month, Revision: 1, At: tx.Now, CodeVersion: p.rules.Version, RunBy: export.RunBy{ID: by.id, Name: by.name, Roles: by.roles},
	}}
	if scope != nil {
		g.scope = []id.Node{*scope}
	}
	for _, step := range []func() error{g.company, g.hierarchy, g.charges, g.classes, g.days, g.movement, g.books, g.invoices, g.reconciled, g.checklist, g.elsewhere, g.commentaries, g.disputes, g.decisions, g.files, g.position} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return g.f, nil
}

func (g *gathering) company() error {
	here, err := g.tx.Here()
	if err != nil {
		return err
	}
	f := g.f
	f.Company, f.LegalName, f.Confidentiality, f.Slug, f.TenantID, f.Zone = here.Name, here.LegalName, here.Confidentiality, here.Slug, g.tx.Tenant.String(), here.TimeZone
	if f.BooksState, err = g.tx.PeriodState(g.month); err != nil {
		return err
	}
	if at, locked, err := lockedSince(g.tx, g.month); err != nil {
		return err
	} else if locked {
		g.asOf = at
	}
	return nil
}

// hierarchy lists the nodes of the scope in the order of the tree.
func (g *gathering) hierarchy() (err error) {
	if g.places, err = placements(g.tx); err != nil {
		return err
	}
	if g.tree, err = treeKnown(g.tx, g.asOf, time.Time{}); err != nil {
		return err
	}
	above := 0 // how many codes of a path lie above the scope's root
	if g.scope != nil {
		v, found := g.tree.Node(g.scope[0])
		if !found {
			return db.ErrPacketAbsent // the node has been retired: nobody is told of it any more
		}
		g.f.Scope, above = packet.Scope{Code: v.Code, Name: v.Name}, g.tree.Depth(v.Node)
	}
	for _, v := range g.tree.All() {
		if g.scope != nil && !visible(g.tree, v.Node, g.scope) {
			continue
		}
		g.index[v.Node] = len(g.f.Nodes)
		g.f.Nodes = append(g.f.Nodes, packet.Node{
			Code: v.Code, Name: v.Name, Path: strings.Join(g.tree.PathCodes(v.Node)[above:], hierarchy.PathSeparator), Kind: string(v.Kind), Capitalization: string(v.Capitalization),
			Depth: g.tree.Depth(v.Node) - above,
		})
	}
	return nil
}

// row is where a node is in the packet's list; one that is not in the tree any more, or not
// in the scope, is added behind the others as its placement had it.
func (g *gathering) row(node id.Node, codes []string) int {
	if i, there := g.index[node]; there {
		return i
	}
	g.index[node] = len(g.f.Nodes)
	code := codes[len(codes)-1]
	g.f.Nodes = append(g.f.Nodes, packet.Node{Code: code, Name: code + " (not there any more)", Path: strings.Join(codes, hierarchy.PathSeparator), Depth: len(codes) - 1})
	return g.index[node]
}

// chain is the rows of a placement from the scope's root down, and its path there.
func (g *gathering) chain(place placed) (rows []int, codes []string) {
	all := strings.Split(place.path, hierarchy.PathSeparator)
	from := 0
	if g.scope != nil {
		from = max(slices.Index(place.ancestors, g.scope[0]), 0)
	}
	for i := from; i < len(place.ancestors) && i < len(all); i++ {
		rows = append(rows, g.row(place.ancestors[i], all[from:i+1]))
	}
	return rows, all[from:]
}

// charges reads the month and the one before by where they were charged.
func (g *gathering) charges() error {
	now, err := g.tx.MonthBy(g.month, "placement", g.scope)
	if err != nil {
		return err
	}
	before, err := g.tx.MonthBy(g.month.Previous(), "placement", g.scope)
	if err != nil {
		return err
	}
	sum := Chargeback{Period: g.month}
	if err := sum.total(now, g.places, g.tree); err != nil {
		return err
	}
	planned, err := sum.plan(g.tx, MonthQuery{Month: g.month, AsOf: g.asOf}, g.tree, g.scope)
	if err != nil {
		return err
	}
	f := g.f
	f.Requests, f.Tokens, f.Provisional, f.Errors, f.Capitalized = sum.Requests, sum.Tokens, sum.Provisional, sum.Errors, sum.Capitalized
	if g.plan = sum.Plan; sum.Plan != nil {
		f.Plan, f.PlanVersion = &packet.Plan{Month: sum.Plan.Month, ToDate: sum.Plan.ToDate}, sum.Plan.Version.Number
	}
	for node, one := range planned {
		if i, there := g.index[node]; there {
			f.Nodes[i].Plan = &packet.Plan{Month: one.Month, ToDate: one.ToDate}
		}
	}
	if g.scope == nil {
		f.Suspense = &sum.Suspense
		if err := sum.control(g.tx, g.month); err != nil {
			return err
		}
		f.Control = &packet.Control{Total: sum.Control.Total, Difference: sum.Control.Difference}
	}
	return g.leaves(now, before)
}

// leaves puts what was charged at each place beside what was in the month before.
func (g *gathering) leaves(now, before []db.SumRow) error {
	at := map[id.Placement]int{}
	for k, rows := range [][]db.SumRow{now, before} {
		for _, row := range rows {
			amount, placement, err := readSum(row)
			if err != nil {
				return err
			}
			i, there := at[placement]
			if !there {
				i = len(g.f.Leaves)
				at[placement] = i
				chain, _ := g.chain(g.places[placement])
				g.f.Leaves = append(g.f.Leaves, packet.Leaf{Nodes: chain})
			}
			leaf := &g.f.Leaves[i]
			if k == 1 {
				leaf.Prior = amount
				continue
			}
			leaf.Amount = amount
			for _, n := range leaf.Nodes {
				g.f.Nodes[n].Requests += row.Requests
				g.f.Nodes[n].Tokens += row.Tokens
			}
		}
	}
	return nil
}

func (g *gathering) classes() error {
	list, err := cells(g.tx, g.month, g.month.Days(), g.scope)
	if err != nil {
		return err
	}
	for i := range list {
		g.f.Classes = append(g.f.Classes, packet.Class{Model: list[i].Model, Class: list[i].Class, Tokens: list[i].Tokens, Amount: list[i].Charge})
	}
	return nil
}

// days reads each node's own charges by UTC day: what several placements of a node have is
// one row.
func (g *gathering) days() error {
	rows, err := g.tx.PlacementDays(g.month, g.scope)
	if err != nil {
		return err
	}
	type key struct {
		day  time.Time
		path string
	}
	at := map[key]int{}
	for i := range rows {
		amount, err := money.SumOfPico(rows[i].ChargePico)
		if err != nil {
			return err
		}
		_, codes := g.chain(g.places[rows[i].PlacementID])
		k := key{rows[i].Day.UTC(), strings.Join(codes, hierarchy.PathSeparator)}
		n, there := at[k]
		if !there {
			n = len(g.f.Days)
			at[k] = n
			g.f.Days = append(g.f.Days, packet.Day{Day: k.day, Path: k.path, Code: codes[len(codes)-1]})
		}
		d := &g.f.Days[n]
		d.Amount.AddSum(&amount)
		d.Requests += rows[i].Requests
		d.Tokens += rows[i].Tokens
	}
	slices.SortStableFunc(g.f.Days, func(a, b packet.Day) int {
		if c := a.Day.Compare(b.Day); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
	return nil
}

func (g *gathering) movement() error {
	m, err := movement(g.tx, g.month, g.scope)
	if err != nil {
		return err
	}
	g.f.Movement = packet.Movement{Through: m.Through, Before: m.Before, Whole: m.Whole(), Split: m.Split}
	return nil
}

// books reads the journal of the month: nothing for a part of the company, whose lines alone
// do not balance.
func (g *gathering) books() error {
	if g.scope != nil {
		return nil
	}
	b := &packet.Books{}
	for before := int64(0); ; {
		rows, err := g.tx.Entries(&db.EntryFilter{Month: g.month, Before: before, Limit: MaxRows})
		if err != nil {
			return err
		}
		for i := range rows {
			view, err := readEntry(g.tx, rows[i].EntryID)
			if err != nil {
				return err
			}
			b.Entries = append(b.Entries, view.Entry)
			before = rows[i].Number
		}
		if len(rows) < MaxRows {
			break
		}
	}
	slices.Reverse(b.Entries)
	balances, err := g.tx.Balances(g.month, time.Time{})
	if err != nil {
		return err
	}
	for i := range balances {
		row, err := trialRow(&balances[i])
		if err != nil {
			return err
		}
		switch row.Account {
		case ledger.AccountAccrued:
			b.Accrued -= row.Closing
		case ledger.AccountRounding:
			b.Rounding += row.Closing
		default: // lines of the journal, which the packet lists
		}
	}
	due, err := g.tx.DueDays(g.tx.Now.Truncate(oneDay), db.DueDay{}, MaxRows)
	if err != nil {
		return err
	}
	for _, d := range due {
		if period.MonthOf(d.PostingPeriod) == g.month {
			b.Waiting++
		}
	}
	g.f.Books = b
	return nil
}

// maxDecided bounds the approvals that are listed; how many more there are is said.
const maxDecided = 500

// decisions lists what people decided that the figures rest on: the plan they are compared
// with, and what changed prices, places and books while the month was open.
func (g *gathering) decisions() error {
	if g.scope != nil {
		return nil // they are about other parts of the company, too
	}
	kinds := []string{changePlan, changePrices, changeRules, changeRetag, changeBooks, changeReversal, changeNode}
	var planned id.Change // decided before the month, as a rule
	if g.plan != nil {
		planned = g.plan.Version.Change
	}
	rows, err := g.tx.Decided(kinds, g.month.Start(), g.asOf, planned, maxDecided)
	if err != nil {
		return err
	}
	actors := []string{}
	for i := range rows {
		g.f.DecisionsLeft = int(rows[i].Total) - len(rows)
		actors = append(actors, rows[i].MemberID.String())
		if !rows[i].ForMemberID.IsZero() {
			actors = append(actors, rows[i].ForMemberID.String())
		}
	}
	hands, err := g.p.members.hands(g.tx, actors)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		one := packet.Decision{
			Number: r.Number, Kind: g.p.rules.Words(r.Kind), Name: hands[r.MemberID.String()].Name, Role: strings.ReplaceAll(strings.ReplaceAll(r.Roles, "_", " "), ",", ", "), Issuer: r.Issuer, Subject: r.Subject,
			At: r.DecidedAt.UTC(), Verdict: "approved", Digest: hex.EncodeToString(r.Digest),
		}
		if !r.ForMemberID.IsZero() {
			one.For = hands[r.ForMemberID.String()].Name
		}
		g.f.Decisions = append(g.f.Decisions, one)
	}
	return nil
}

// position is how far the audit log had come.
func (g *gathering) position() (err error) {
	s := &g.f.Sequence
	if s.Last, s.Waiting, err = g.tx.LogEnd(); err != nil {
		return err
	}
	heads, err := g.tx.Checkpoints(maxSize, 1)
	if err != nil || len(heads) == 0 {
		return err
	}
	g.f.Head = &packet.Head{Origin: auditlog.Origin(g.tx.Tenant), Size: heads[0].Size, Root: base64.StdEncoding.EncodeToString(heads[0].Root)}
	return nil
}
