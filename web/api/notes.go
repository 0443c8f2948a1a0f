package api

import (
	"cmp"
	"strconv"

	"tollbook/app"
	"tollbook/app/commentary"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
)

// Commentary is what a node's owner says about what a month of it came to.
type Commentary struct {
	Period     string   `json:"period"`
	Node       string   `json:"node" doc:"A code, as of the month's end."`
	Name       string   `json:"name"`
	Path       string   `json:"path"`
	State      string   `json:"state" enum:"none,asked,written,accepted,returned"`
	Stale      bool     `json:"stale" doc:"The text is about other figures than there are now."`
	Above      bool     `json:"above_threshold" doc:"A difference is fifty dollars or a quarter, against plan or the month before."`
	Actual     string   `json:"actual" format:"decimal"`
	Plan       *string  `json:"plan" format:"decimal" doc:"null where no plan names the node."`
	Variance   *string  `json:"variance" format:"decimal" doc:"Actual less plan."`
	Before     string   `json:"before" format:"decimal" doc:"The month before."`
	Movement   string   `json:"movement" format:"decimal" doc:"Actual less the month before: price, volume, mix and tools together."`
	Price      string   `json:"price" format:"decimal"`
	Volume     string   `json:"volume" format:"decimal"`
	Mix        string   `json:"mix" format:"decimal"`
	Tools      string   `json:"tools" format:"decimal"`
	Revision   int      `json:"revision" doc:"Of the text; 0 where none is written."`
	Text       *string  `json:"text"`
	WrittenBy  *string  `json:"written_by"`
	WrittenAt  *Instant `json:"written_at"`
	AskedAt    *Instant `json:"asked_at"`
	Owner      *string  `json:"owner" doc:"Who answers for the node."`
	SHA256     string   `json:"figures_sha256" doc:"Of the figures now."`
	WrittenFor *string  `json:"written_about_sha256" doc:"Of the figures that the text is about."`
}

// CommentaryAsk names a month.
type CommentaryAsk struct {
	Period period.Month `query:"period" doc:"YYYY-MM. Default: the month before this one."`
	State  string       `query:"state" doc:"asked, written, accepted, returned; none, owed, stale or above. Default: every node with a plan or a movement."`
}

func (a *API) listCommentary(c *call, q CommentaryAsk) (Page[Commentary], error) {
	if q.Period == (period.Month{}) {
		q.Period = period.MonthOf(a.cfg.Now()).Previous()
		c.chosen["period"] = q.Period.String()
	}
	month, err := a.areas.Commentaries.Month(c.Request().Context(), c.who, app.CommentaryQuery{Month: q.Period, State: q.State, Threshold: commentary.Standard()})
	if err != nil {
		return Page[Commentary]{}, err
	}
	rows := make([]Commentary, 0, len(month.Rows))
	for i := range month.Rows {
		rows = append(rows, commentaryOf(q.Period, &month.Rows[i]))
	}
	return page(rows, ""), nil
}

func commentaryOf(m period.Month, v *app.CommentaryView) Commentary {
	f, s := &v.Figures, &v.Standing
	moved := f.Movement()
	out := Commentary{
		Period: m.String(), Node: v.Code, Name: v.Name, Path: v.Path, State: cmp.Or(string(s.State), "none"), Stale: v.Stale, Above: v.Above, Actual: f.Actual.String(), Before: f.Before.String(), Movement: moved.String(),
		Price: f.Price.String(), Volume: f.Volume.String(), Mix: f.Mix.String(), Tools: f.Tools.String(), Revision: s.Revision, Text: textOrNil(s.Text), WrittenBy: textOrNil(v.AuthorName), WrittenAt: instantOrNil(s.WroteAt),
		AskedAt: instantOrNil(s.AskedAt), Owner: textOrNil(v.OwnerName), SHA256: v.Digest, WrittenFor: textOrNil(s.Digest),
	}
	if f.Planned {
		plan, over := f.Plan.String(), f.OverPlan()
		variance := over.String()
		out.Plan, out.Variance = &plan, &variance
	}
	return out
}

// Dispute is charges that an owner says are another's.
type Dispute struct {
	ID        string  `json:"id"`
	Number    int64   `json:"number" doc:"Per company: Dispute 3."`
	Period    string  `json:"period"`
	Node      string  `json:"node" doc:"The code of the node that was charged."`
	Proposed  string  `json:"proposed_node" doc:"The code of the node that should be."`
	State     string  `json:"state" enum:"open,accepted,proposed,moved,declined,withdrawn,kept"`
	WaitsFor  *string `json:"waits_for" enum:"owner,finance,approver" doc:"null once it has ended."`
	Amount    string  `json:"amount" format:"decimal" doc:"That would move, when it was raised."`
	AmountNow string  `json:"amount_now" format:"decimal" doc:"As of its latest step: what its change moves, once there is one."`
	Requests  int     `json:"requests"`
	Reason    string  `json:"reason"`
	RaisedBy  string  `json:"raised_by"`
	RaisedAt  Instant `json:"raised_at"`
	Since     Instant `json:"since" doc:"When it came to its state."`
	AgeDays   int     `json:"age_days" doc:"From raising to its end, or to now."`
	WaitDays  int     `json:"wait_days" doc:"In its state."`
	Change    *int64  `json:"change" doc:"The number of the change that would move the charges."`
}

// DisputeAsk narrows the list of disputes.
type DisputeAsk struct {
	State  string       `query:"state" enum:"open,accepted,proposed,moved,declined,withdrawn,kept,standing" doc:"standing is all that have not ended. Default: every state."`
	Period period.Month `query:"period" doc:"Whose charges are of that month, YYYY-MM."`
	Limit  Limit        `query:"limit"`
	Cursor string       `query:"cursor"`
}

func (a *API) listDisputes(c *call, q DisputeAsk) (Page[Dispute], error) {
	ask := app.DisputeQuery{State: q.State, Month: q.Period, Limit: q.Limit.rows()}
	if q.Cursor != "" {
		var err error
		if ask.Before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || ask.Before < 1 {
			return Page[Dispute]{}, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	list, err := a.areas.Disputes.List(c.Request().Context(), c.who, ask)
	if err != nil {
		return Page[Dispute]{}, err
	}
	rows := make([]Dispute, 0, len(list.Disputes))
	var total money.Sum
	for i := range list.Disputes {
		d := &list.Disputes[i]
		one := Dispute{
			ID: d.ID.String(), Number: d.Number, Period: d.Month.String(), Node: d.NodeCode, Proposed: d.ToCode, State: string(d.State), WaitsFor: textOrNil(string(d.Waits)), Amount: d.Amount.String(), AmountNow: d.AmountNow.String(),
			Requests: d.Requests, Reason: d.Reason, RaisedBy: d.Raiser.Name, RaisedAt: Instant{d.RaisedAt}, Since: Instant{d.Since}, AgeDays: d.AgeDays, WaitDays: d.WaitDays,
		}
		if d.ResolutionNumber > 0 {
			one.Change = &d.ResolutionNumber
		}
		rows = append(rows, one)
		total.AddSum(&d.Amount)
	}
	c.control("amount_usd", &total)
	next := ""
	if list.Next != 0 {
		next = strconv.FormatInt(list.Next, 10)
	}
	return page(rows, next), nil
}
