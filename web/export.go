package web

import (
	"fmt"
	"strconv"
	"time"

	"tollbook/app"
	"tollbook/app/export"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/usage"
)

// cell is a text in a file that people open.
func cell(text string) string { return export.Guarded(text) }

func (w *Web) exportChargeback(v *visit) error {
	q, err := v.monthQuery()
	if err != nil {
		return err
	}
	sum, err := w.areas.Reports.Month(v.Request().Context(), v.who, q.app())
	if err != nil {
		return err
	}
	return monthSheet(&sum, q).send(v, monthFile(v, q))
}

func monthFile(v *visit, q monthQuery) string {
	return "chargeback-" + v.slug + "-" + q.Month.String() + "-" + q.Group.Key + ".csv"
}

// monthSheet is a month by one dimension. A node's line includes what is below it, so
// that the own amounts are what sums to the total.
func monthSheet(sum *app.Chargeback, q monthQuery) *sheet {
	out := newSheet("period", "period_state", "group_by", "key", "label", "path", "kind", "capitalization", "actual_usd", "own_usd", "capitalized_usd", "expensed_usd",
		"plan_to_date_usd", "variance_usd", "plan_month_usd", "requests", "tokens")
	out.version = 2 // 2 added plan, variance and capitalization
	out.filter("period", sum.Period.String())
	out.filter("group_by", q.Group.Key)
	for i := range sum.Rows {
		r := &sum.Rows[i]
		capitalized, expensed := r.Capitalized.String(), without(&r.Actual, &r.Capitalized)
		if q.Group.Key != "node" && q.Group.Key != "project" {
			capitalized, expensed = "", ""
		}
		plan := []string{"", "", ""}
		if r.Plan != nil {
			over := r.Plan.Variance(&r.Actual)
			plan = []string{r.Plan.ToDate.String(), over.String(), r.Plan.Month.String()}
		}
		_ = out.Write([]string{
			sum.Period.String(), string(sum.State), q.Group.Key, cell(r.Key), cell(r.Label), cell(r.Path), r.Kind, r.Treatment,
			r.Actual.String(), r.Own.String(), capitalized, expensed, plan[0], plan[1], plan[2], strconv.FormatInt(r.Requests, 10), strconv.FormatInt(r.Tokens, 10),
		})
	}
	out.control("total_usd", sum.Total.String())
	out.control("capitalized_usd", sum.Capitalized.String())
	out.control("expensed_usd", without(&sum.Total, &sum.Capitalized))
	out.control("suspense_usd", sum.Suspense.String())
	out.control("requests", strconv.FormatInt(sum.Requests, 10))
	if sum.Plan != nil {
		out.control("plan_to_date_usd", sum.Plan.ToDate.String())
		out.control("plan_version", strconv.Itoa(sum.Plan.Version.Number))
	}
	if sum.Control != nil {
		out.control("flushed_usd", sum.Control.Total.String())
		out.control("difference_usd", sum.Control.Difference.String())
	}
	return out
}

// without is a total less a part of it.
func without(total, part *money.Sum) string {
	var rest money.Sum
	rest.AddSum(total)
	rest.SubSum(part)
	return rest.String()
}

// maxExport bounds one file of requests, and what it takes of memory.
const maxExport = 50_000

var errExportLarge = fault.New(fault.KindInvalid, "export_too_large",
	"More than 50,000 requests match: too many for one file. Narrow them by dates, cost center or developer, and export in parts.")

func (w *Web) exportRequests(v *visit) error {
	filter, err := v.requestsQuery().filter()
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	filter.Limit = requestsShown
	if !part {
		filter.Limit, filter.Cursor = app.MaxRows, "" // the whole list, whichever page it was asked from
	}
	out := requestsSheet().paged(part)
	for range maxExport / app.MaxRows {
		page, err := w.areas.Reports.Requests(v.Request().Context(), v.who, filter)
		if err != nil {
			return err
		}
		addRequests(out, page.Rows)
		if page.Next == "" || part {
			return out.send(v, requestsFile(v))
		}
		filter.Cursor = page.Next
	}
	return errExportLarge
}

func requestsFile(v *visit) string { return "requests-" + v.slug + ".csv" }

func requestsSheet() *sheet {
	out := newSheet(
		"id", "request_id", "session_id", "agent_id", "occurred_at", "state", "http_status", "model_requested", "model_served", "charged_to", "share", "key_id",
		"key_label", "developer", "input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens",
		"amount_usd", "price_version", "rule", "adjusted_by",
	)
	out.version = 2 // 2 added adjusted_by; charged_to and amount_usd are as adjusted
	return out
}

// addRequests writes rows and adds what they sum to.
func addRequests(out *sheet, rows []app.Request) {
	var total money.Sum
	for i := range rows {
		writeRequest(out, &rows[i])
		for _, a := range rows[i].Allocations {
			total.Add(a.Amount)
		}
	}
	out.add("amount_usd", &total)
}

// adjustedBy is the change that posted a request's latest adjustment.
func adjustedBy(r *app.Request) string {
	if r.Adjusted == nil {
		return ""
	}
	return r.Adjusted.Change.String()
}

// writeRequest writes a line for each node a request is charged to.
func writeRequest(out *sheet, r *app.Request) {
	for i, p := range r.Allocations {
		tokens := make([]string, 0, len(r.Tokens))
		for _, n := range r.Tokens {
			if i > 0 {
				n = 0 // counted on the first line, so that columns sum
			}
			tokens = append(tokens, strconv.FormatInt(n, 10))
		}
		line := []string{
			r.ID.String(), cell(r.RequestID), cell(r.SessionID), cell(r.AgentID), r.OccurredAt.Format(time.RFC3339Nano), r.State, strconv.Itoa(r.HTTPStatus),
			cell(r.ModelRequested), cell(r.ModelServed), cell(p.Code), fmt.Sprintf("%d.%06d", p.PPM/usage.Whole, p.PPM%usage.Whole), r.Key.String(),
			cell(r.KeyLabel), cell(r.Developer),
		}
		line = append(line, tokens...)
		_ = out.Write(append(line, p.Amount.String(), strconv.Itoa(r.PriceVersion), cell(r.Rule), adjustedBy(r)))
	}
}
