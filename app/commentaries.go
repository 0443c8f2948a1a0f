package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/commentary"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/db"
)

// Commentaries is the area of what owners say about what their nodes came to in a month.
type Commentaries struct {
	db      *db.DB
	access  *Access
	changes *Changes
	members *Members
}

// NewCommentaries makes the area.
func NewCommentaries(d *db.DB, access *Access, changes *Changes, members *Members) *Commentaries {
	return &Commentaries{db: d, access: access, changes: changes, members: members}
}

// The refusals.
var (
	// ErrCommentaryAbsent reports a node that has nothing to comment on in a month, or none the
	// actor may see.
	ErrCommentaryAbsent  = fault.New(fault.KindNotFound, "commentary_absent", "There is nothing to comment on for that node in that month, or it is not yours to see.")
	errCommentaryClosed  = fault.New(fault.KindConflict, "period_closed", "The month is closed, and what was written about it stands. Have it reopened to write again.")
	errCommentaryEarly   = fault.New(fault.KindConflict, "commentary_early", "The month is not over: its figures are asked about when it is.")
	errCommentaryFigures = fault.New(fault.KindConflict, "commentary_figures", "A figure changed while you wrote. Look at it as it is now; what you wrote is still here.")
	errCommentaryOwner   = fault.New(fault.KindConflict, "commentary_unowned", "Nobody who could answer owns this node or one above it. Name its owner, or write the commentary yourself.")
	errCommentaryNobody  = fault.New(fault.KindConflict, "commentary_nobody", "There is nobody to ask: every node above the threshold was asked about, or has no owner.")
	errCommentaryRemind  = fault.New(fault.KindConflict, "commentary_reminded", "Whoever is asked heard of it today: remind them tomorrow.")
)

// commentaryNow is one node's present figures and where its commentary stands.
type commentaryNow struct {
	noted

	digest string // of the figures now
	bytes  []byte
	stands commentary.Standing
}

// readNow reads one node of a month for a step: nobody else takes one until commit, and the
// month is not shut meanwhile.
func (c *Commentaries) readNow(tx *db.Tx, m period.Month, scope []id.Node) (*monthNotes, error) {
	if err := tx.LockCommentary(); err != nil {
		return nil, err
	}
	if m.Start().After(tx.Now) {
		return nil, errCommentaryEarly
	}
	state, err := tx.PostingState(m)
	switch {
	case err != nil:
		return nil, err
	case state.Shut():
		return nil, errCommentaryClosed
	case tx.Now.Before(m.End()):
		return nil, errCommentaryEarly
	}
	return readNotes(tx, m, scope)
}

// one finds a node's commentary by the node's code.
func (n *monthNotes) one(code string) (*commentaryNow, error) {
	v, there := n.tree.Code(code)
	note := n.notes[v.Node]
	if !there || note == nil {
		return nil, ErrCommentaryAbsent
	}
	return n.now(note)
}

func (n *monthNotes) now(note *noted) (*commentaryNow, error) {
	now := &commentaryNow{noted: *note, stands: note.Standing}
	var err error
	now.bytes, err = note.Figures.Canonical(n.month)
	now.digest = commentary.Digest(now.bytes)
	return now, err
}

// NewCommentary is what somebody writes about a node's month, and the figures they looked at.
type NewCommentary struct {
	Month period.Month
	Node  string // a code
	Text  string
	Seen  string // the digest of the figures they looked at
}

// Write stores the next revision of a node's commentary: a person's words, about figures.
func (c *Commentaries) Write(ctx context.Context, who Actor, w NewCommentary) error {
	if err := c.mayTake(who, changeCommentary); err != nil {
		return err
	}
	scope := c.access.Scope(who, "commentary", "propose")
	text := commentary.Text(w.Text)
	return c.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		n, err := c.readNow(tx, w.Month, scope)
		if err != nil {
			return err
		}
		now, err := n.one(w.Node)
		if err != nil {
			return err
		}
		if w.Seen != now.digest {
			return errCommentaryFigures
		}
		step := &commentary.Step{Kind: commentary.Written, Person: who.Person, Body: text, Digest: now.digest, At: tx.Now}
		stands, err := now.stands.Take(step)
		if err != nil {
			return err
		}
		said := sha256.Sum256([]byte(text))
		payload := map[string]any{
			"month": w.Month.String(), "step": string(step.Kind), "node": now.Figures.Node.String(), "code": w.Node, "revision": stands.Revision,
			"text_sha256": hex.EncodeToString(said[:]), "figures_sha256": now.digest,
		}
		_, err = c.changes.change(tx, who, proposal{kind: changeCommentary, payload: payload, reason: "commentary on " + w.Node + " in " + w.Month.String()}, func(ch approval.Change) error {
			return c.store(tx, who, n.month, now, &stands, step, ch.ID)
		})
		return err
	})
}

// store writes a step.
func (c *Commentaries) store(tx *db.Tx, who Actor, m period.Month, now *commentaryNow, stands *commentary.Standing, step *commentary.Step, change id.Change) error {
	row := &db.CommentaryStepRow{
		NodeID: now.Figures.Node, Place: stands.Steps, Kind: string(step.Kind), State: string(stands.State), Revision: stands.Revision, Actor: who.ID(), PersonID: who.Person, Body: step.Body, ChangeID: change,
	}
	if !stands.Author.IsZero() {
		row.AuthorPersonID = &stands.Author
	}
	if !stands.Owner.IsZero() {
		row.OwnerMemberID = &stands.Owner
	}
	if step.Kind == commentary.Written {
		figures := string(now.bytes)
		digest := sha256.Sum256(now.bytes)
		row.Figures, row.FiguresSHA256 = &figures, digest[:]
	}
	return tx.AddCommentaryStep(m, row)
}

// mayTake refuses who may not take a step: it is a person's word.
func (c *Commentaries) mayTake(who Actor, kind string) error {
	if err := c.changes.allowed(who, kind); err != nil {
		return err
	}
	if who.Kind != ActorPerson {
		return ErrNoPerson
	}
	return c.access.Check(who, "commentary", "read")
}

// CommentaryReview is what finance says of one node's commentary: accepted, or returned with
// why.
type CommentaryReview struct {
	Month period.Month
	Node  string
	Kind  commentary.Kind
	Note  string
}

// Review accepts a node's commentary or sends it back. Who wrote it does not accept it, and
// what is about other figures than there are now is not accepted.
func (c *Commentaries) Review(ctx context.Context, who Actor, r CommentaryReview) error {
	if err := c.mayTake(who, changeCommentaryReview); err != nil {
		return err
	}
	if r.Kind != commentary.Accepted && r.Kind != commentary.Returned {
		return commentary.ErrStep
	}
	return c.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		n, err := c.readNow(tx, r.Month, c.access.Scope(who, "commentary", "read"))
		if err != nil {
			return err
		}
		now, err := n.one(r.Node)
		if err != nil {
			return err
		}
		step := &commentary.Step{Kind: r.Kind, Person: who.Person, Body: commentary.Text(r.Note), Digest: now.digest, At: tx.Now}
		stands, err := now.stands.Take(step)
		if err != nil {
			return err
		}
		payload := map[string]any{
			"month": r.Month.String(), "step": string(r.Kind), "nodes": []commentedNode{{now.Figures.Node, r.Node}}, "revision": stands.Revision, "figures_sha256": now.stands.Digest, "to": []string{},
		}
		if author, err := authorOf(tx, n.month, now.Figures.Node); err != nil {
			return err
		} else if author != "" {
			payload["to"] = []string{author}
		}
		reason := step.Body
		if reason == "" {
			reason = "accepted as it is"
		}
		_, err = c.changes.change(tx, who, proposal{kind: changeCommentaryReview, payload: payload, reason: reason}, func(ch approval.Change) error {
			return c.store(tx, who, n.month, now, &stands, step, ch.ID)
		})
		return err
	})
}

type commentedNode struct {
	Node id.Node `json:"node"`
	Code string  `json:"code"`
}

// authorOf is who wrote a node's latest text, as an account.
func authorOf(tx *db.Tx, m period.Month, node id.Node) (string, error) {
	rows, err := tx.CommentarySteps(m, node, commentary.MaxSteps)
	if err != nil {
		return "", err
	}
	for _, row := range slices.Backward(rows) {
		if row.Kind == string(commentary.Written) {
			return row.Actor, nil
		}
	}
	return "", nil
}

// CommentaryAsk asks owners for a commentary, or reminds them: of one node, or of all that
// call for one.
type CommentaryAsk struct {
	Month     period.Month
	Kind      commentary.Kind // Asked or Reminded
	Node      string          // a code; empty: all above the threshold, or all that are owed
	Threshold commentary.Threshold
	Note      string
}

// CommentaryAsked is who was asked.
type CommentaryAsked struct {
	Nodes   int
	Owners  int
	Unowned []string // codes of nodes that nobody could be asked about
}

// Ask asks, or reminds, as one change: whoever owns several nodes hears of it once.
func (c *Commentaries) Ask(ctx context.Context, who Actor, ask CommentaryAsk) (CommentaryAsked, error) {
	var out CommentaryAsked
	if err := c.mayTake(who, changeCommentaryReview); err != nil {
		return out, err
	}
	if ask.Kind != commentary.Asked && ask.Kind != commentary.Reminded {
		return out, commentary.ErrStep
	}
	if err := ask.Threshold.Check(); err != nil && ask.Node == "" {
		return out, err
	}
	err := c.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		out = CommentaryAsked{}
		n, err := c.readNow(tx, ask.Month, c.access.Scope(who, "commentary", "read"))
		if err != nil {
			return err
		}
		a, err := c.asking(tx, n, &ask)
		if err != nil {
			return err
		}
		if out.Unowned = a.unowned; len(a.list) == 0 {
			return errCommentaryNobody
		}
		nodes, to := make([]commentedNode, 0, len(a.list)), []string{}
		for i := range a.list {
			one := &a.list[i]
			nodes = append(nodes, commentedNode{one.now.Figures.Node, one.now.Code})
			if owner := one.step.Owner.String(); !slices.Contains(to, owner) {
				to = append(to, owner)
			}
		}
		payload := map[string]any{"month": ask.Month.String(), "step": string(ask.Kind), "nodes": nodes, "to": to}
		if ask.Node == "" && ask.Kind == commentary.Asked {
			payload["above_cents"], payload["above_percent"] = int64(ask.Threshold.Above), ask.Threshold.Percent
		}
		out.Nodes, out.Owners = len(nodes), len(to)
		reason := commentary.Text(ask.Note)
		if reason == "" {
			reason = "commentary on " + ask.Month.String()
		}
		_, err = c.changes.change(tx, who, proposal{kind: changeCommentaryReview, payload: payload, reason: reason}, func(ch approval.Change) error {
			for i := range a.list {
				one := &a.list[i]
				if err := c.store(tx, who, n.month, one.now, &one.stands, &one.step, ch.ID); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
	return out, err
}

// asking is whom an asking goes to.
type asking struct {
	list    []askedOne
	unowned []string
}

type askedOne struct {
	now    *commentaryNow
	step   commentary.Step
	stands commentary.Standing
}

// asking works out whom to ask. Where one node is named, why it cannot be asked about is the
// answer; where all are meant, it is left out.
func (c *Commentaries) asking(tx *db.Tx, n *monthNotes, ask *CommentaryAsk) (*asking, error) {
	owners, err := readAnswerers(tx, c.access, "commentary")
	if err != nil {
		return nil, err
	}
	reminded, err := tx.CommentaryReminded(tx.Now.UTC().Truncate(oneDay))
	if err != nil {
		return nil, err
	}
	out := &asking{}
	for _, note := range n.sorted() {
		if ask.Node != "" && note.Code != ask.Node {
			continue
		}
		now, err := n.now(note)
		if err != nil {
			return nil, err
		}
		if ask.Node == "" && !calledFor(now, ask) {
			continue
		}
		step := commentary.Step{Kind: ask.Kind, Owner: owners.of(n.tree, note.Figures.Node), Body: commentary.Text(ask.Note), At: tx.Now}
		stands, err := now.stands.Take(&step)
		if err == nil && step.Owner.IsZero() {
			out.unowned = append(out.unowned, note.Code)
			err = errCommentaryOwner
		}
		if err == nil && ask.Kind == commentary.Reminded && slices.Contains(reminded, step.Owner) {
			err = errCommentaryRemind
		}
		switch {
		case err == nil:
			out.list = append(out.list, askedOne{now, step, stands})
		case ask.Node != "":
			return nil, err
		}
	}
	if ask.Node != "" && len(out.list) == 0 {
		return nil, ErrCommentaryAbsent
	}
	return out, nil
}

// calledFor tells whether a node is among all that are meant.
func calledFor(now *commentaryNow, ask *CommentaryAsk) bool {
	if ask.Kind == commentary.Reminded {
		return now.stands.State.Owed()
	}
	return now.stands.State == "" && ask.Threshold.Crossed(&now.Figures)
}

// answerers are who may answer for nodes: whom a node, or the nearest above it, names as its
// owner, and else who owns the budget of that subtree.
type answerers struct {
	accounts map[id.Member]*account
	budgets  map[id.Node][]id.Member
	access   *Access
	object   string
	tree     *hierarchy.Tree // as it is now: a new owner answers for earlier months, too
}

func readAnswerers(tx *db.Tx, access *Access, object string) (*answerers, error) {
	rows, err := tx.Persons(maxRoom)
	if err != nil {
		return nil, err
	}
	a := &answerers{accounts: map[id.Member]*account{}, budgets: map[id.Node][]id.Member{}, access: access, object: object}
	for _, row := range rows {
		one := a.accounts[row.MemberID]
		if one == nil {
			one = &account{member: row.MemberID, person: row.PersonID}
			a.accounts[row.MemberID] = one
		}
		if row.Role == "" {
			continue
		}
		one.grants = append(one.grants, Grant{Role: Role(row.Role), Node: row.NodeID})
		if row.Role == string(RoleBudgetOwner) && !row.NodeID.IsZero() {
			a.budgets[row.NodeID] = append(a.budgets[row.NodeID], row.MemberID)
		}
	}
	a.tree, err = treeAt(tx, time.Time{})
	return a, err
}

// of is who answers for a node; zero: nobody can. Then is the tree in which to look for a node
// that is there no more.
func (a *answerers) of(then *hierarchy.Tree, node id.Node) id.Member {
	tree := a.tree
	if _, there := tree.Node(node); !there {
		tree = then
	}
	above := slices.Clone(tree.Above(node))
	slices.SortFunc(above, func(x, y id.Node) int { return tree.Depth(y) - tree.Depth(x) })
	for _, at := range above {
		if v, _ := tree.Node(at); a.able(v.Owner, tree, node) {
			return v.Owner
		}
		members := slices.Clone(a.budgets[at])
		slices.SortFunc(members, func(x, y id.Member) int { return strings.Compare(x.UUID(), y.UUID()) })
		for _, member := range members {
			if a.able(member, tree, node) {
				return member
			}
		}
	}
	return id.Member{}
}

// able tells whether an account can sign in and may answer for a node.
func (a *answerers) able(member id.Member, tree *hierarchy.Tree, node id.Node) bool {
	one := a.accounts[member]
	if one == nil {
		return false
	}
	who := Actor{Kind: ActorPerson, Member: member, Person: one.person, Grants: one.grants}
	if a.access.Check(who, a.object, "propose") != nil {
		return false
	}
	scope := a.access.Scope(who, a.object, "propose")
	return scope == nil || visible(tree, node, scope)
}
