package web

import (
	"tollbook/app"
	"tollbook/app/money"
	"tollbook/app/period"
)

// closeNotes is what owners say of a month that is closed: their commentaries, and what they
// dispute of it. Neither keeps it from being closed.
type closeNotes struct {
	Commentary app.CommentaryStanding
	Disputes   []app.DisputeView // that have not ended
	Ended      int
	Amount     money.Sum // of those that have not
	URL        string    // of the commentaries
	All        string    // of every dispute of the month
}

func (w *Web) closeNotes(v *visit, m period.Month) (*closeNotes, error) {
	if !v.may("commentary", "read") || !v.may("dispute", "read") {
		return nil, nil //nolint:nilnil // nothing of it is shown
	}
	n := &closeNotes{URL: commentaryQuery{Month: m}.url(commentaryPath), All: disputeQuery{State: everyState, Period: m.String()}.url(disputesPath)}
	var err error
	if n.Commentary, err = w.areas.Commentaries.Standing(v.Request().Context(), v.who, m); err != nil {
		return nil, err
	}
	list, err := w.areas.Disputes.Of(v.Request().Context(), v.who, m)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].State.Ended() {
			n.Ended++
			continue
		}
		n.Disputes = append(n.Disputes, list[i])
		n.Amount.AddSum(&list[i].AmountNow)
	}
	return n, nil
}
