package web

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/usage"
)

// cell keeps a text from being a formula where it is opened: labels and tags come from
// whoever declared them.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// startCSV begins a download; nothing can fail after it, so the first page is read
// before.
func startCSV(v *visit, name string) *csv.Writer {
	h := v.Response().Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	v.Response().WriteHeader(http.StatusOK)
	return csv.NewWriter(v.Response())
}

func (w *Web) exportChargeback(v *visit) error {
	q, err := v.monthQuery()
	if err != nil {
		return err
	}
	sum, err := w.areas.Reports.Chargeback(v.Request().Context(), v.who, q.Month, q.Group.Key, q.AsOf)
	if err != nil {
		return err
	}
	out := startCSV(v, "chargeback-"+v.slug+"-"+sum.Period.String()+"-"+q.Group.Key+".csv")
	_ = out.Write([]string{"period", "period_state", "group_by", "key", "label", "path", "kind", "capitalization", "actual_usd", "own_usd", "requests", "tokens"})
	for i := range sum.Rows {
		r := &sum.Rows[i]
		_ = out.Write([]string{
			sum.Period.String(), string(sum.State), q.Group.Key, cell(r.Key), cell(r.Label), cell(r.Path), r.Kind, r.Treatment,
			r.Actual.String(), r.Own.String(), strconv.FormatInt(r.Requests, 10), strconv.FormatInt(r.Tokens, 10),
		})
	}
	out.Flush()
	return out.Error()
}

// maxExport bounds one file of requests.
const maxExport = 10_000

func (w *Web) exportRequests(v *visit) error {
	filter, err := v.requestsQuery().filter()
	if err != nil {
		return err
	}
	filter.Limit = app.MaxRows
	page, err := w.areas.Reports.Requests(v.Request().Context(), v.who, filter)
	if err != nil {
		return err
	}
	out := startCSV(v, "requests-"+v.slug+".csv")
	_ = out.Write([]string{
		"id", "request_id", "session_id", "agent_id", "occurred_at", "state", "http_status", "model_requested", "model_served", "charged_to", "share", "key_id",
		"key_label", "developer", "input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens",
		"amount_usd", "price_version", "rule",
	})
	for written := 0; ; {
		for i := range page.Rows {
			writeRequest(out, &page.Rows[i])
		}
		out.Flush()
		if written += len(page.Rows); page.Next == "" || written >= maxExport || out.Error() != nil {
			return out.Error()
		}
		filter.Cursor = page.Next
		if page, err = w.areas.Reports.Requests(v.Request().Context(), v.who, filter); err != nil {
			// The head is sent: a cut connection is the only honest end.
			panic(http.ErrAbortHandler)
		}
	}
}

// writeRequest writes a line for each node a request is charged to.
func writeRequest(out *csv.Writer, r *app.Request) {
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
		_ = out.Write(append(line, p.Amount.String(), strconv.Itoa(r.PriceVersion), cell(r.Rule)))
	}
}
