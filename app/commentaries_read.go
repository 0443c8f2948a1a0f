package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/commentary"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/variance"
	"tollbook/db"
)

// noted is one node of a month: what it came to, and where its commentary stands.
type noted struct {
	Code, Name, Path string
	Depth            int
	Figures          commentary.Figures
	Standing         commentary.Standing
	rows             []db.CommentaryStepRow
}

// monthNotes are the nodes of a month that have a plan, moved, or are commented on.
type monthNotes struct {
	month period.Month
	tree  *hierarchy.Tree
	notes map[id.Node]*noted
}

// maxCommentarySteps bounds the steps of a month's commentaries, of all nodes.
const maxCommentarySteps = 50_000

// readNotes reads a month's nodes in some subtrees; nil: all.
func readNotes(tx *db.Tx, m period.Month, scope []id.Node) (*monthNotes, error) {
	n := &monthNotes{month: m, notes: map[id.Node]*noted{}}
	at := m.End().Add(-time.Microsecond)
	if tx.Now.Before(at) {
		at = tx.Now
	}
	var err error
	if n.tree, err = treeAt(tx, at); err != nil {
		return nil, err
	}
	if err := n.movements(tx, scope); err != nil {
		return nil, err
	}
	if err := n.plans(tx, scope); err != nil {
		return nil, err
	}
	return n, n.steps(tx, scope)
}

// at is a node's entry, made where the node may be seen; nil: it may not.
func (n *monthNotes) at(node id.Node, scope []id.Node) *noted {
	if one := n.notes[node]; one != nil {
		return one
	}
	v, there := n.tree.Node(node)
	if !there || (scope != nil && !visible(n.tree, node, scope)) {
		return nil
	}
	one := &noted{Code: v.Code, Name: v.Name, Path: n.tree.Path(node), Depth: n.tree.Depth(node), Figures: commentary.Figures{Node: node}}
	n.notes[node] = one
	return one
}

// movements reads what each node came to and why that differs from the month before, as a
// node's report tells it, for all nodes at once.
func (n *monthNotes) movements(tx *db.Tx, scope []id.Node) error {
	places, err := placements(tx)
	if err != nil {
		return err
	}
	through, before := whole(n.month, tx.Now)
	later, err := placedCells(tx, n.month, through, places)
	if err != nil {
		return err
	}
	earlier, err := placedCells(tx, n.month.Previous(), before, places)
	if err != nil {
		return err
	}
	nodes := map[id.Node]bool{}
	for node := range later {
		nodes[node] = true
	}
	for node := range earlier {
		nodes[node] = true
	}
	for node := range nodes {
		one := n.at(node, scope)
		if one == nil {
			continue
		}
		split := variance.Between(earlier[node], later[node])
		f := &one.Figures
		f.Actual, f.Before, f.Price, f.Volume, f.Mix, f.Tools = split.Total.After, split.Total.Before, split.Total.Price, split.Total.Volume, split.Total.Mix, split.Total.Tools
	}
	return nil
}

// placedCells are a month's cells by node, each with what is below it as it was charged.
func placedCells(tx *db.Tx, m period.Month, through int, places map[id.Placement]placed) (map[id.Node][]variance.Cell, error) {
	byNode := map[id.Node][]variance.Cell{}
	if through == 0 {
		return byNode, nil
	}
	rows, err := tx.PlacedClasses(m, m.Start().AddDate(0, 0, through))
	if err != nil {
		return nil, err
	}
	for i := range rows {
		amount, err := money.SumOfPico(rows[i].ChargePico)
		if err != nil {
			return nil, err
		}
		cell := variance.Cell{Model: rows[i].Model, Class: rows[i].Class, Tokens: rows[i].Tokens, Charge: amount}
		for _, node := range places[rows[i].PlacementID].ancestors {
			byNode[node] = append(byNode[node], cell)
		}
	}
	return byNode, nil
}

// plans puts the plan beside the figures: of the whole month once it is over.
func (n *monthNotes) plans(tx *db.Tx, scope []id.Node) error {
	var c Chargeback
	planned, err := c.plan(tx, MonthQuery{Month: n.month}, n.tree, nil)
	if err != nil {
		return err
	}
	suspense, _ := n.tree.Code(hierarchy.SuspenseCode)
	for node, p := range planned {
		if node == suspense.Node && n.notes[node] == nil {
			continue // nothing is planned for it, and nothing lies there
		}
		if one := n.at(node, scope); one != nil {
			one.Figures.Planned, one.Figures.Plan = true, p.ToDate
		}
	}
	return nil
}

// steps adds what was asked and written.
func (n *monthNotes) steps(tx *db.Tx, scope []id.Node) error {
	rows, err := tx.CommentarySteps(n.month, id.Node{}, maxCommentarySteps)
	if err != nil {
		return err
	}
	for i := range rows {
		one := n.at(rows[i].NodeID, scope)
		if one == nil {
			continue
		}
		if err := one.take(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// take adds a stored step, which the rules of the noun let through when it was taken.
func (o *noted) take(row *db.CommentaryStepRow) error {
	s := &o.Standing
	if row.Place != s.Steps+1 {
		return fmt.Errorf("the steps of the commentary on %s have a gap before %d", o.Code, row.Place)
	}
	s.Steps, s.State, s.Revision = row.Place, commentary.State(row.State), row.Revision
	at := row.RecordedAt.UTC()
	switch commentary.Kind(row.Kind) {
	case commentary.Asked, commentary.Reminded:
		if s.AskedAt.IsZero() {
			s.AskedAt = at
		}
		s.NudgedAt = at
	case commentary.Returned:
		s.NudgedAt = at
	case commentary.Written:
		s.Text, s.WroteAt, s.Author, s.Digest = row.Body, at, row.PersonID, hex.EncodeToString(row.FiguresSHA256)
	case commentary.Accepted:
	}
	if row.OwnerMemberID != nil {
		s.Owner = *row.OwnerMemberID
	}
	o.rows = append(o.rows, *row)
	return nil
}

// sorted are the nodes by path.
func (n *monthNotes) sorted() []*noted {
	list := make([]*noted, 0, len(n.notes))
	for _, one := range n.notes {
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b *noted) int { return strings.Compare(a.Path+"\x00"+a.Code, b.Path+"\x00"+b.Code) })
	return list
}

// CommentaryView is one node's commentary of a month as it stands.
type CommentaryView struct {
	Node             id.Node
	Code, Name, Path string
	Depth            int
	Figures          commentary.Figures // as they are now
	Digest           string             // of these
	Standing         commentary.Standing
	Stale            bool // the latest text is about other figures
	Above            bool // the threshold
	Owner            id.Member
	OwnerName        string // who answers for the node; empty: nobody
	AuthorName       string // of the latest text
}

// readCommentaries are a month's commentaries in some subtrees (nil: all) as they stand, by
// path: of each node that was asked about or written about, and, where all is wanted, of each
// that has a plan or moved, too. What a packet and a close read.
func readCommentaries(tx *db.Tx, members *Members, access *Access, m period.Month, within []id.Node, t commentary.Threshold, all bool) ([]CommentaryView, error) {
	n, err := readNotes(tx, m, within)
	if err != nil {
		return nil, err
	}
	owners, err := readAnswerers(tx, access, "commentary")
	if err != nil {
		return nil, err
	}
	var list []CommentaryView
	var names []string
	authors := map[id.Node]string{}
	for _, one := range n.sorted() {
		above := t.Crossed(&one.Figures)
		if one.Standing.State == "" && (!all || (!above && (!one.Figures.Planned || one.Code == hierarchy.SuspenseCode))) {
			continue
		}
		now, err := n.now(one)
		if err != nil {
			return nil, err
		}
		v := CommentaryView{
			Node: one.Figures.Node, Code: one.Code, Name: one.Name, Path: one.Path, Depth: one.Depth, Figures: one.Figures, Digest: now.digest, Standing: one.Standing,
			Stale: one.Standing.Stale(now.digest), Above: above, Owner: owners.of(n.tree, one.Figures.Node),
		}
		for _, row := range slices.Backward(one.rows) {
			if row.Kind == string(commentary.Written) {
				authors[v.Node] = row.Actor
				names = append(names, row.Actor)
				break
			}
		}
		if !v.Owner.IsZero() {
			names = append(names, v.Owner.String())
		}
		list = append(list, v)
	}
	hands, err := members.hands(tx, names)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if v := &list[i]; !v.Owner.IsZero() {
			v.OwnerName = hands[v.Owner.String()].Name
		}
		list[i].AuthorName = hands[authors[list[i].Node]].Name
	}
	return list, nil
}

// commentaryStanding is how a month's commentaries stand together, for the step of its close.
type commentaryStanding struct {
	commentary.Sum

	Unasked []string // codes of nodes above the standard threshold that nobody was asked about
	Owing   []string // codes of nodes whose owner has not answered
	Stale   []string
	Digest  string // over every step, so that a text that changes is another figure
}

// commentaryStands reads it.
func commentaryStands(tx *db.Tx, m period.Month) (*commentaryStanding, error) {
	n, err := readNotes(tx, m, nil)
	if err != nil {
		return nil, err
	}
	out := &commentaryStanding{}
	h := sha256.New()
	for _, one := range n.sorted() {
		now, err := n.now(one)
		if err != nil {
			return nil, err
		}
		stale := one.Standing.Stale(now.digest)
		out.Add(&one.Standing, stale)
		switch {
		case one.Standing.State == "" && commentary.Standard().Crossed(&one.Figures):
			out.Unasked = append(out.Unasked, one.Code)
		case one.Standing.State.Owed():
			out.Owing = append(out.Owing, one.Code)
		}
		if stale {
			out.Stale = append(out.Stale, one.Code)
		}
		for i := range one.rows {
			_, _ = fmt.Fprintf(h, "%s %d %s %x\n", one.rows[i].NodeID, one.rows[i].Place, one.rows[i].Kind, sha256.Sum256([]byte(one.rows[i].Body)))
		}
	}
	out.Digest = hex.EncodeToString(h.Sum(nil))
	return out, nil
}

// CommentaryStanding is how a month's commentaries stand together.
type CommentaryStanding struct {
	commentary.Sum

	Unasked int // nodes above the standard threshold that nobody was asked about
}

// Standing counts a month's commentaries, for who sees the whole company.
func (c *Commentaries) Standing(ctx context.Context, who Actor, m period.Month) (CommentaryStanding, error) {
	var out CommentaryStanding
	if err := c.access.Check(who, "commentary", "read"); err != nil {
		return out, err
	}
	if c.access.Scope(who, "commentary", "read") != nil {
		return out, ErrNotAllowed
	}
	err := c.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		stands, err := commentaryStands(tx, m)
		if err == nil {
			out = CommentaryStanding{Sum: stands.Sum, Unasked: len(stands.Unasked)}
		}
		return err
	})
	return out, err
}

// CommentaryQuery asks for a month's commentaries.
type CommentaryQuery struct {
	Month     period.Month
	State     string // one of commentary.States; none, stale, owed, above or mine; empty: all
	Threshold commentary.Threshold
}

// What a list may be narrowed to, beside the states.
const (
	CommentaryNone  = "none"  // nobody was asked about it
	CommentaryStale = "stale" // about other figures
	CommentaryOwed  = "owed"  // asked, or sent back
	CommentaryAbove = "above" // the threshold
	CommentaryMine  = "mine"  // the reader answers for
)

// CommentaryMonth is a month's commentaries.
type CommentaryMonth struct {
	Month   period.Month
	State   period.State
	Over    bool // the month is, so that it can be asked about
	Rows    []CommentaryView
	Listed  int // before the narrowing
	Sum     commentary.Sum
	Above   int // nodes above the threshold that nobody was asked about
	Mine    int // that the reader owes
	Choices []period.Month
	CanAsk  bool
}

// Month lists a month's commentaries in what the actor may see.
func (c *Commentaries) Month(ctx context.Context, who Actor, q CommentaryQuery) (CommentaryMonth, error) {
	var out CommentaryMonth
	if err := c.access.Check(who, "commentary", "read"); err != nil {
		return out, err
	}
	if err := q.Threshold.Check(); err != nil {
		return out, err
	}
	if q.State != "" && !commentary.State(q.State).Known() && !slices.Contains([]string{CommentaryNone, CommentaryStale, CommentaryOwed, CommentaryAbove, CommentaryMine}, q.State) {
		return out, fault.Invalid("state", "commentary_state_unknown", "A commentary is asked, written, accepted or returned; none, owed, stale, above and mine narrow the list, too; %.40q is nothing of this.", q.State)
	}
	err := c.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		out = CommentaryMonth{Month: q.Month, Over: !tx.Now.Before(q.Month.End())}
		var err error
		if out.State, err = tx.PeriodState(q.Month); err != nil {
			return err
		}
		if out.Choices, err = tx.Months(maxMonths); err != nil {
			return err
		}
		list, err := readCommentaries(tx, c.members, c.access, q.Month, c.access.Scope(who, "commentary", "read"), q.Threshold, true)
		if err != nil {
			return err
		}
		out.CanAsk = out.Over && !out.State.Shut() && c.mayTake(who, changeCommentaryReview) == nil
		out.Listed = len(list)
		for i := range list {
			v := &list[i]
			out.Sum.Add(&v.Standing, v.Stale)
			mine := v.Owner == who.Member && !who.Member.IsZero()
			if v.Standing.State == "" && v.Above {
				out.Above++
			}
			if mine && v.Standing.State.Owed() {
				out.Mine++
			}
			if v.matches(q.State, mine) {
				out.Rows = append(out.Rows, *v)
			}
		}
		return nil
	})
	return out, err
}

func (v *CommentaryView) matches(state string, mine bool) bool {
	switch state {
	case "":
		return true
	case CommentaryNone:
		return v.Standing.State == ""
	case CommentaryStale:
		return v.Stale
	case CommentaryOwed:
		return v.Standing.State.Owed()
	case CommentaryAbove:
		return v.Above
	case CommentaryMine:
		return mine
	}
	return v.Standing.State == commentary.State(state)
}

// CommentaryStepView is one step of a node's commentary.
type CommentaryStepView struct {
	Kind     commentary.Kind
	Revision int
	Hand     Hand
	To       string // who was asked
	Body     string
	Figures  *commentary.Figures // that a text is about
	Digest   string
	Change   id.Change
	At       time.Time
}

// CommentaryCase is one node's commentary of a month with its steps, and what the reader may do.
type CommentaryCase struct {
	CommentaryView

	Month     period.Month
	State     period.State
	Steps     []CommentaryStepView
	CanWrite  bool
	CanAsk    bool
	CanRemind bool
	CanAccept bool
	CanReturn bool
}

// Node is one node's commentary of a month, by the node's code at the month's end.
func (c *Commentaries) Node(ctx context.Context, who Actor, m period.Month, code string, t commentary.Threshold) (CommentaryCase, error) {
	var out CommentaryCase
	if err := c.access.Check(who, "commentary", "read"); err != nil {
		return out, err
	}
	err := c.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		out = CommentaryCase{Month: m}
		var err error
		if out.State, err = tx.PeriodState(m); err != nil {
			return err
		}
		within := c.access.Scope(who, "commentary", "read")
		n, err := readNotes(tx, m, within)
		if err != nil {
			return err
		}
		_, err = n.one(code)
		something := err == nil
		if v, there := n.tree.Code(code); there {
			n.at(v.Node, within) // of a node that did not move there is a page, too
		}
		now, err := n.one(code)
		if err != nil {
			return err
		}
		owners, err := readAnswerers(tx, c.access, "commentary")
		if err != nil {
			return err
		}
		out.CommentaryView = CommentaryView{
			Node: now.Figures.Node, Code: now.Code, Name: now.Name, Path: now.Path, Depth: now.Depth, Figures: now.Figures, Digest: now.digest, Standing: now.stands,
			Stale: now.stands.Stale(now.digest), Above: t.Crossed(&now.Figures), Owner: owners.of(n.tree, now.Figures.Node),
		}
		if err := c.history(tx, &out, now.rows); err != nil {
			return err
		}
		if tx.Now.Before(m.End()) || out.State.Shut() || !something {
			return nil
		}
		scope := c.access.Scope(who, "commentary", "propose")
		out.CanWrite = c.mayTake(who, changeCommentary) == nil && (scope == nil || visible(n.tree, out.Node, scope))
		if c.mayTake(who, changeCommentaryReview) == nil {
			state := out.Standing.State
			out.CanAsk, out.CanRemind = (state == "" || state == commentary.StateAccepted) && !out.Owner.IsZero(), state.Owed()
			out.CanAccept = state == commentary.StateWritten && out.Standing.Author != who.Person && !out.Stale
			out.CanReturn = state == commentary.StateWritten || state == commentary.StateAccepted
		}
		return nil
	})
	return out, err
}

// history names who took each step.
func (c *Commentaries) history(tx *db.Tx, out *CommentaryCase, rows []db.CommentaryStepRow) error {
	names := []string{}
	if !out.Owner.IsZero() {
		names = append(names, out.Owner.String())
	}
	for i := range rows {
		names = append(names, rows[i].Actor)
		if rows[i].OwnerMemberID != nil {
			names = append(names, rows[i].OwnerMemberID.String())
		}
	}
	hands, err := c.members.hands(tx, names)
	if err != nil {
		return err
	}
	if !out.Owner.IsZero() {
		out.OwnerName = hands[out.Owner.String()].Name
	}
	for i := range rows {
		r := &rows[i]
		one := CommentaryStepView{Kind: commentary.Kind(r.Kind), Revision: r.Revision, Hand: hands[r.Actor], Body: r.Body, Change: r.ChangeID, At: r.RecordedAt.UTC()}
		if r.OwnerMemberID != nil && (one.Kind == commentary.Asked || one.Kind == commentary.Reminded) {
			one.To = hands[r.OwnerMemberID.String()].Name
		}
		if r.Figures != nil {
			figures, err := commentary.Read([]byte(*r.Figures))
			if err != nil {
				return err
			}
			one.Figures, one.Digest, out.AuthorName = &figures, hex.EncodeToString(r.FiguresSHA256), one.Hand.Name
		}
		out.Steps = append(out.Steps, one)
	}
	return nil
}
