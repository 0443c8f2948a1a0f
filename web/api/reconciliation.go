package api

import (
	"strconv"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
)

// Reconciliation is one day as it was last held against what the provider reports.
type Reconciliation struct {
	Day         string     `json:"day" format:"date"`
	State       string     `json:"state" enum:"no_report,provisional,reconciled,within_tolerance,exception"`
	Number      *int64     `json:"number" doc:"Of the reconciliation, per company; null where there is none yet."`
	Ours        string     `json:"ours" format:"decimal" doc:"What the ledger charged, net."`
	OursList    string     `json:"ours_list" format:"decimal"`
	Billed      string     `json:"billed" format:"decimal" doc:"What the provider reports to be paid."`
	BilledList  string     `json:"billed_list" format:"decimal"`
	Difference  string     `json:"difference" format:"decimal" doc:"Billed less ours: the sum of the items' amounts."`
	Unexplained string     `json:"unexplained" format:"decimal" doc:"What is unknown of it."`
	CoverageBps int64      `json:"coverage_bps" doc:"How much of what the provider charged for requests passed the gateway, in basis points; -1 where there was nothing."`
	Coverage    []Coverage `json:"coverage"`
	Unresolved  int        `json:"unresolved" doc:"Variances of the day that are not resolved."`
	Tolerance   Tolerance  `json:"tolerance" doc:"It was held to."`
	Preparer    *string    `json:"preparer"`
	Reviewer    *string    `json:"reviewer"`
	Basis       string     `json:"basis" enum:"provider,simulator" doc:"Where the reports came from: simulator says that their address is not Anthropic's."`
	SHA256      string     `json:"sha256" doc:"Of the bytes that its record in the audit log covers."`
	RecordedAt  *Instant   `json:"recorded_at"`
	Items       []Item     `json:"items" doc:"Where a day was asked for; else null."`
}

// Tolerance is how far both sides may be apart.
type Tolerance struct {
	Version     int    `json:"version" doc:"0 is the one that every company begins with."`
	Absolute    string `json:"absolute" format:"decimal"`
	RelativeBps int64  `json:"relative_bps"`
}

// Coverage is how much of what one key is charged passed the gateway.
type Coverage struct {
	Surface string  `json:"surface" enum:"gateway,key,console"`
	Key     *string `json:"api_key_id"`
	Ours    string  `json:"ours" format:"decimal"`
	Theirs  string  `json:"theirs" format:"decimal"`
	Bps     int64   `json:"bps"`
}

// Item is one difference, with its reason.
type Item struct {
	Class       string  `json:"class" enum:"late,aborted_stream,bypass,unknown_price,tier_mismatch,class_mismatch,price_mismatch,fee,credit_or_discount,missing_at_provider,missing_with_us,reports_disagree,rounding,unknown"`
	Surface     string  `json:"surface"`
	Key         *string `json:"api_key_id"`
	Model       *string `json:"model"`
	Tier        *string `json:"tier"`
	Speed       *string `json:"speed"`
	Geography   *string `json:"geography"`
	Meter       *string `json:"meter" doc:"A token class, web_search, requests, code_execution, session_usage or credit."`
	Quantity    int64   `json:"quantity"`
	List        string  `json:"list" format:"decimal"`
	Amount      string  `json:"amount" format:"decimal"`
	AgeDays     int     `json:"age_days"`
	Explanation string  `json:"explanation"`
	Nodes       []Part  `json:"nodes" doc:"What of the amount lies at which node."`
}

// Part is what of an amount lies at a node.
type Part struct {
	Node   string `json:"node"`
	Amount string `json:"amount" format:"decimal"`
}

// ReconciliationAsk names a day, or a month.
type ReconciliationAsk struct {
	Day    Instant      `query:"day" doc:"A UTC date. With it, the day's items too."`
	Period period.Month `query:"period" doc:"Every day of a month, YYYY-MM. Default: this month."`
}

func (a *API) listReconciliations(c *call, q ReconciliationAsk) (Page[Reconciliation], error) {
	ctx := c.Request().Context()
	if !q.Day.IsZero() {
		b, err := a.areas.Reconciliations.Day(ctx, c.who, q.Day.Truncate(24*time.Hour))
		if err != nil {
			return Page[Reconciliation]{}, err
		}
		one := reconciliationOf(&b.ReconciledDay, b.Simulated)
		one.Items = []Item{}
		for i := range b.Items {
			one.Items = append(one.Items, itemOf(&b.Items[i]))
		}
		c.control("difference_usd", &b.Difference)
		return page([]Reconciliation{one}, ""), nil
	}
	if q.Period == (period.Month{}) {
		q.Period = period.MonthOf(a.cfg.Now())
		c.chosen["period"] = q.Period.String()
	}
	month, err := a.areas.Reconciliations.Calendar(ctx, c.who, q.Period)
	if err != nil {
		return Page[Reconciliation]{}, err
	}
	rows := make([]Reconciliation, 0, len(month.Days))
	for i := range month.Days {
		rows = append(rows, reconciliationOf(&month.Days[i], month.Simulated))
	}
	c.control("difference_usd", &month.Total.Difference)
	c.control("unexplained_usd", &month.Total.Unexplained)
	return page(rows, ""), nil
}

func reconciliationOf(d *app.ReconciledDay, simulated bool) Reconciliation {
	r := Reconciliation{
		Day: d.Day.Format(time.DateOnly), State: string(d.State), Ours: d.Ours.String(), OursList: d.Listed.String(), Billed: d.Billed.String(), BilledList: d.ListPrice.String(),
		Difference: d.Difference.String(), Unexplained: d.Unexplained.String(), CoverageBps: d.Bps, Coverage: []Coverage{}, Unresolved: d.Open,
		Tolerance: Tolerance{Version: d.ToleranceVersion, Absolute: d.Tolerance.Absolute.String(), RelativeBps: d.Tolerance.RelativeBps}, Basis: "provider", SHA256: d.Digest, RecordedAt: instantOrNil(d.At),
	}
	if simulated {
		r.Basis = "simulator"
	}
	if d.Number != 0 {
		r.Number = &d.Number
	}
	if d.Preparer != nil {
		r.Preparer = &d.Preparer.Hand.Name
	}
	if d.Reviewer != nil {
		r.Reviewer = &d.Reviewer.Hand.Name
	}
	for i := range d.Coverage {
		o := &d.Coverage[i]
		r.Coverage = append(r.Coverage, Coverage{Surface: string(o.Surface), Key: textOrNil(o.Key), Ours: o.Ours.String(), Theirs: o.Theirs.String(), Bps: o.Bps})
	}
	return r
}

func itemOf(it *app.ItemView) Item {
	cell := &it.Cell
	out := Item{
		Class: string(it.Class), Surface: string(cell.Surface), Key: textOrNil(cell.Key), Model: textOrNil(cell.Model), Tier: textOrNil(cell.Tier), Speed: textOrNil(cell.Speed), Geography: textOrNil(cell.Geography),
		Meter: textOrNil(string(cell.Meter)), Quantity: it.Quantity, List: it.List.String(), Amount: it.Amount.String(), AgeDays: it.AgeDays, Explanation: it.Explanation, Nodes: []Part{},
	}
	for i := range it.Shares {
		out.Nodes = append(out.Nodes, Part{Node: it.Shares[i].Code, Amount: it.Shares[i].Amount.String()})
	}
	return out
}

// Variance is what was above tolerance on a day.
type Variance struct {
	ID        string  `json:"id"`
	Number    int64   `json:"number" doc:"Per company: Variance 12."`
	Day       string  `json:"day" format:"date"`
	Class     string  `json:"class"`
	Surface   string  `json:"surface" enum:"gateway,key,console"`
	Key       *string `json:"api_key_id"`
	Model     *string `json:"model"`
	Node      *string `json:"node" doc:"Where it is what is unknown at one node."`
	State     string  `json:"state" enum:"open,explained,waiting,adjusted,resolved"`
	Amount    string  `json:"amount" format:"decimal"`
	Quantity  int64   `json:"quantity" doc:"Of tokens."`
	Owner     *string `json:"owner"`
	WaitUntil *string `json:"wait_until" format:"date"`
	AgeDays   int     `json:"age_days" doc:"Since its day ended."`
	OpenedAt  Instant `json:"opened_at"`
	ChangedAt Instant `json:"changed_at"`
}

// VarianceAsk narrows the list of variances.
type VarianceAsk struct {
	State  string       `query:"state" enum:"open,explained,waiting,adjusted,resolved,unresolved" doc:"unresolved is all but resolved. Default: every state."`
	Class  string       `query:"class"`
	Period period.Month `query:"period" doc:"Whose day is in that month, YYYY-MM."`
	Limit  Limit        `query:"limit"`
	Cursor string       `query:"cursor"`
}

func (a *API) listVariances(c *call, q VarianceAsk) (Page[Variance], error) {
	ask := app.VarianceQuery{State: q.State, Class: q.Class, Month: q.Period, Limit: q.Limit.rows()}
	if q.Cursor != "" {
		var err error
		if ask.Before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || ask.Before < 1 {
			return Page[Variance]{}, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	list, err := a.areas.Reconciliations.Variances(c.Request().Context(), c.who, ask)
	if err != nil {
		return Page[Variance]{}, err
	}
	rows := make([]Variance, 0, len(list.Variances))
	var total money.Sum
	for i := range list.Variances {
		rows = append(rows, varianceOf(&list.Variances[i]))
		total.AddSum(&list.Variances[i].Amount)
	}
	c.control("amount_usd", &total)
	next := ""
	if list.Next != 0 {
		next = strconv.FormatInt(list.Next, 10)
	}
	return page(rows, next), nil
}

func varianceOf(v *app.VarianceView) Variance {
	out := Variance{
		ID: v.ID.String(), Number: v.Number, Day: v.Day.Format(time.DateOnly), Class: string(v.Class), Surface: string(v.Surface), Key: textOrNil(v.Key), Model: textOrNil(v.Model), Node: textOrNil(v.NodeCode),
		State: string(v.Standing), Amount: v.Amount.String(), Quantity: v.Quantity, Owner: textOrNil(v.OwnerName), AgeDays: v.AgeDays, OpenedAt: Instant{v.OpenedAt}, ChangedAt: Instant{v.SteppedAt},
	}
	if v.Standing == reconcile.StandingWaiting {
		out.WaitUntil = textOrNil(v.WaitUntil.Format(time.DateOnly))
	}
	return out
}

// TolerancePayload is what a change of kind tolerance proposes, for days reconciled afterwards.
type TolerancePayload struct {
	Absolute    int64 `json:"absolute_cents" doc:"At most so many cents apart."`
	RelativeBps int64 `json:"relative_bps" doc:"And at most so many hundredths of a percent of the day's charges."`
}

// TrueUpPayload is what a change of kind true_up proposes: to charge what the provider counted
// of a day's requests that ended without final usage, as its reconciliation that counts has it.
type TrueUpPayload struct {
	Day string `json:"day" format:"date"`
}
