package app

import (
	"encoding/json"
	"fmt"
	"slices"

	"tollbook/app/commentary"
	"tollbook/app/dispute"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/notice"
	"tollbook/app/period"
	"tollbook/db"
)

// addresses are the kinds of changes by which somebody asks somebody, or answers: applied at
// once, and told to those whom they name.
func addresses(kind string) bool {
	switch kind {
	case changeCommentaryReview, changeDispute, changeDisputeAnswer, changeDisputeReview:
		return true
	}
	return false
}

// addressed is what such a change says of whom it is for, and what it is about.
type addressed struct {
	Step    string          `json:"step"`
	Month   string          `json:"month"`
	Nodes   []commentedNode `json:"nodes"`
	Dispute id.Dispute      `json:"dispute"`
	Number  int64           `json:"number"`
	Amount  string          `json:"amount_pico"`
	To      []id.Member     `json:"to"`
}

func addressedOf(payload []byte) (addressed, error) {
	var said addressed
	if err := json.Unmarshal(payload, &said); err != nil {
		return said, fmt.Errorf("read whom a change addresses: %w", err)
	}
	return said, nil
}

// purpose is why they are told.
func (a *addressed) purpose() notice.Purpose {
	switch a.Step {
	case string(commentary.Asked), string(commentary.Returned), string(dispute.Raised):
		return notice.Requested
	case string(commentary.Reminded):
		return notice.Recalled
	}
	return notice.Answered
}

// about is what it is about, in words.
func (a *addressed) about() string {
	if !a.Dispute.IsZero() {
		return fmt.Sprintf("dispute %d, about charges of %s", a.Number, a.month())
	}
	if len(a.Nodes) == 1 {
		return "the commentary on " + a.Nodes[0].Code + " for " + a.month()
	}
	return fmt.Sprintf("the commentary on %d nodes for %s", len(a.Nodes), a.month())
}

func (a *addressed) month() string {
	m, err := period.ParseMonth(a.Month)
	if err != nil {
		return a.Month
	}
	return m.Start().Format("January 2006")
}

// path is the page it is answered on.
func (a *addressed) path() string {
	switch {
	case !a.Dispute.IsZero():
		return "/disputes/" + a.Dispute.String()
	case len(a.Nodes) == 1:
		return "/commentary/" + a.Month + "/" + a.Nodes[0].Code
	}
	return "/commentary?period=" + a.Month + "&state=mine"
}

// addressees makes those whom a change names due a message.
func (a *audience) addressees(h *happening) error {
	said, err := addressedOf(a.view.Payload)
	if err != nil {
		return err
	}
	for _, member := range said.To {
		a.add(member, notice.Due{Purpose: said.purpose(), Record: h.record})
	}
	return nil
}

// parties makes both sides of a dispute due a message about the change that resolves it.
func (a *audience) parties(tx *db.Tx, h *happening, but []id.Person) error {
	if a.view.Kind != changeRetag {
		return nil
	}
	row, found, err := tx.DisputeOf(a.view.ID)
	if err != nil || !found {
		return err
	}
	sides := []id.Member{row.MemberID}
	if row.AnswererMemberID != nil {
		sides = append(sides, *row.AnswererMemberID)
	}
	for _, member := range sides {
		if one := a.room.account(member); one != nil && !slices.Contains(but, one.person) {
			a.add(member, notice.Due{Purpose: h.purpose, Record: h.record})
		}
	}
	return nil
}

// answeredMeanwhile tells whether nobody waits any more for what a message asks for.
func answeredMeanwhile(tx *db.Tx, view *ChangeView, due *notice.Due) (bool, error) {
	if due.Purpose != notice.Requested && due.Purpose != notice.Recalled {
		return false, nil
	}
	said, err := addressedOf(view.Payload)
	if err != nil {
		return false, err
	}
	if !said.Dispute.IsZero() {
		row, found, err := tx.Dispute(said.Dispute)
		return found && dispute.State(row.State) != dispute.StateOpen, err
	}
	m, err := period.ParseMonth(said.Month)
	if err != nil {
		return false, err
	}
	for _, one := range said.Nodes {
		rows, err := tx.CommentarySteps(m, one.Node, commentary.MaxSteps)
		if err != nil || (len(rows) > 0 && commentary.State(rows[len(rows)-1].State).Owed()) {
			return false, err
		}
	}
	return true, nil
}

// addressed fills in a letter about such a change.
func (l *Letter) addressed(public, slug string, view *ChangeView) error {
	said, err := addressedOf(view.Payload)
	if err != nil {
		return err
	}
	l.About, l.Step, l.URL = said.about(), said.Step, public+"/t/"+slug+said.path()
	if said.Amount == "" {
		return nil
	}
	amount, err := money.SumOfPico(said.Amount)
	if err != nil {
		return err
	}
	l.Amount, l.Month = amount.Display().String(), said.Month
	return nil
}
