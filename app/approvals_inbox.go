package app

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// Inbox is the changes that wait, as they concern an actor.
type Inbox struct {
	Mine   []InboxRow // that the actor may decide now
	Others []InboxRow // that wait for somebody else
	Own    []InboxRow // that the actor proposed
	More   bool       // there are more than are looked at
}

// InboxRow is a change that waits.
type InboxRow struct {
	ChangeView
	Step  string // the step to be decided now; the first of several
	Done  int    // steps that are decided
	Asked []Hand // who may decide it
	For   []StandIn
	Self  bool // the actor may approve it for themselves
	Fresh bool // approving asks to sign in again: not in bulk

	asked []id.Member
}

// maxInbox bounds the changes that an inbox looks at, the oldest first.
const maxInbox = 500

// maxAsked bounds the names in a row of an inbox.
const maxAsked = 5

// Inbox lists the changes that wait.
func (a *Approvals) Inbox(ctx context.Context, who Actor) (Inbox, error) {
	if err := a.access.Check(who, "change", "read"); err != nil {
		return Inbox{}, err
	}
	var box Inbox
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := a.inbox(tx, who, &box); err != nil {
			return err
		}
		return a.nameAll(tx, &box)
	})
	return box, err
}

func (a *Approvals) inbox(tx *db.Tx, who Actor, box *Inbox) error {
	room, err := a.room(tx)
	if err != nil {
		return err
	}
	rows, err := tx.Waiting(a.readable(room.eyes(who)), maxInbox+1)
	if err != nil || len(rows) == 0 {
		return err
	}
	if box.More = len(rows) > maxInbox; box.More {
		rows = rows[:maxInbox]
	}
	views, err := a.views(tx, rows)
	if err != nil {
		return err
	}
	return a.sort(tx, room, who, views, box)
}

// sort puts changes that wait into the parts of an inbox.
func (a *Approvals) sort(tx *db.Tx, room *room, who Actor, views []ChangeView, box *Inbox) error {
	ids := make([]id.Change, 0, len(views))
	for i := range views {
		ids = append(ids, views[i].ID)
	}
	votes, err := tx.Votes(ids...)
	if err != nil {
		return err
	}
	for i := range views {
		if a.sees(room.eyes(who), room.tree, &views[i]) {
			if err := a.put(tx, room, who, &views[i], votes, box); err != nil {
				return err
			}
		}
	}
	return nil
}

// put puts one change that waits into the part of an inbox it belongs to.
func (a *Approvals) put(tx *db.Tx, room *room, who Actor, view *ChangeView, votes []db.VoteRow, box *Inbox) error {
	kind := a.changes.governed[view.Kind]
	open, err := room.caseWith(tx, view, kind, votes)
	if err != nil {
		return err
	}
	row := InboxRow{ChangeView: *view, Fresh: view.Terms.Policy.FreshSignIn, Done: len(view.Terms.Policy.Steps) - len(open.Open())}
	if turn := open.Turn(); len(turn) > 0 {
		row.Step = view.Terms.Policy.Steps[turn[0]].Name
		row.asked = room.asked(view, kind, open)[turn[0]]
		row.asked = row.asked[:min(len(row.asked), maxAsked)]
	}
	may := a.may(tx, room, who, view, kind, open)
	row.For, row.Self = may.For, may.Approve
	switch {
	case may.Approve || len(may.For) > 0:
		box.Mine = append(box.Mine, row)
	case may.Withdraw || view.Maker == who.ID():
		box.Own = append(box.Own, row)
	default:
		box.Others = append(box.Others, row)
	}
	return nil
}

// nameAll finds the names of everybody in an inbox.
func (a *Approvals) nameAll(tx *db.Tx, box *Inbox) error {
	var actors []string
	parts := [][]InboxRow{box.Mine, box.Own, box.Others}
	for _, part := range parts {
		for i := range part {
			actors = append(actors, part[i].Maker)
			for _, m := range part[i].asked {
				actors = append(actors, m.String())
			}
			for _, f := range part[i].For {
				actors = append(actors, f.Member.String())
			}
		}
	}
	hands, err := a.members.hands(tx, actors)
	if err != nil {
		return err
	}
	for _, part := range parts {
		for i := range part {
			part[i].Made = hands[part[i].Maker]
			for _, m := range part[i].asked {
				part[i].Asked = append(part[i].Asked, hands[m.String()])
			}
			for j := range part[i].For {
				part[i].For[j].Name = hands[part[i].For[j].Member.String()].Name
			}
		}
	}
	return nil
}

// Waiting counts the changes an actor may decide now: for the navigation.
func (a *Approvals) Waiting(ctx context.Context, who Actor) (int, error) {
	if who.Kind != ActorPerson || !a.access.may(who.Tenant, who.Grants, "change", "read") {
		return 0, nil
	}
	var box Inbox
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		decides, err := a.decides(tx, who)
		if err != nil || !decides {
			return err
		}
		return a.inbox(tx, who, &box)
	})
	return len(box.Mine), err
}

// decides says whether an actor might decide about anything at all, by a role or for
// somebody: who never does is not worth looking at what waits.
func (a *Approvals) decides(tx *db.Tx, who Actor) (bool, error) {
	for _, object := range []string{"finance", "access", "owned"} {
		if a.access.Check(who, object, "approve") == nil {
			return true, nil
		}
	}
	rows, err := tx.Delegations(true, maxDelegations)
	return slices.ContainsFunc(rows, func(d db.DelegationRow) bool { return d.ToPersonID == who.Person }), err
}

// Choice is one of several changes decided at once, as it was shown.
type Choice struct {
	Change id.Change
	Seen   [32]byte
	Once   string // a key under which the verdict is given once, however often it is sent
}

// Decided is what became of a choice.
type Decided struct {
	Choice
	View ChangeView
	Err  error
}

// MaxAtOnce bounds the changes decided at once.
const MaxAtOnce = 100

// RuleAll gives one verdict on several changes: each is decided, applied and recorded for
// itself, and one that cannot be does not keep the others.
func (a *Approvals) RuleAll(ctx context.Context, who Actor, choices []Choice, verdict approval.Verdict, reason string) ([]Decided, error) {
	if len(choices) == 0 || len(choices) > MaxAtOnce {
		return nil, fault.Invalid("change", "changes_count", "Choose 1 to %d changes.", MaxAtOnce)
	}
	list := make([]Decided, 0, len(choices))
	for _, c := range choices {
		view, err := a.Rule(ctx, who, c.Change, Ruling{Ruling: approval.Ruling{Verdict: verdict, Seen: c.Seen, Reason: reason}, Once: c.Once, Bulk: true})
		list = append(list, Decided{Choice: c, View: view, Err: err})
	}
	return list, nil
}

func trimmed(text string) string { return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) }

func digestOf(content []byte) []byte {
	digest := sha256.Sum256(content)
	return digest[:]
}

// rawJSON is a payload that is written as it stands.
func rawJSON(payload []byte) json.RawMessage { return payload }

// fileName is the last part of a file's name, without what could break out of a header.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(name, "\\", "/"))
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '"' {
			return -1
		}
		return r
	}, name)
	if name == "." || name == "/" || len(name) > 200 {
		return ""
	}
	return name
}

// shown are the media types that are kept; a browser is handed every file to save, never to show.
func mediaType(text string) string {
	known := []string{"application/pdf", "text/plain", "text/csv", "image/png", "image/jpeg"}
	base, _, _ := strings.Cut(text, ";")
	if slices.Contains(known, base) {
		return base
	}
	return "application/octet-stream"
}
