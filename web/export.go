package web

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
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

// sheet is a CSV file that is sent only when all of it was made: a short file looks like
// a whole one.
type sheet struct {
	*csv.Writer
	content bytes.Buffer
}

func newSheet(head ...string) *sheet {
	s := &sheet{}
	s.Writer = csv.NewWriter(&s.content)
	_ = s.Write(head) // into memory
	return s
}

func (s *sheet) send(v *visit, name string) error {
	s.Flush()
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	return v.Blob(http.StatusOK, "text/csv; charset=utf-8", s.content.Bytes())
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
	out := newSheet("period", "period_state", "group_by", "key", "label", "path", "kind", "capitalization", "actual_usd", "own_usd", "requests", "tokens")
	for i := range sum.Rows {
		r := &sum.Rows[i]
		_ = out.Write([]string{
			sum.Period.String(), string(sum.State), q.Group.Key, cell(r.Key), cell(r.Label), cell(r.Path), r.Kind, r.Treatment,
			r.Actual.String(), r.Own.String(), strconv.FormatInt(r.Requests, 10), strconv.FormatInt(r.Tokens, 10),
		})
	}
	return out.send(v, "chargeback-"+v.slug+"-"+sum.Period.String()+"-"+q.Group.Key+".csv")
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
	filter.Limit = app.MaxRows
	out := newSheet(
		"id", "request_id", "session_id", "agent_id", "occurred_at", "state", "http_status", "model_requested", "model_served", "charged_to", "share", "key_id",
		"key_label", "developer", "input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens",
		"amount_usd", "price_version", "rule",
	)
	for range maxExport / app.MaxRows {
		page, err := w.areas.Reports.Requests(v.Request().Context(), v.who, filter)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			writeRequest(out, &page.Rows[i])
		}
		if page.Next == "" {
			return out.send(v, "requests-"+v.slug+".csv")
		}
		filter.Cursor = page.Next
	}
	return errExportLarge
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
		_ = out.Write(append(line, p.Amount.String(), strconv.Itoa(r.PriceVersion), cell(r.Rule)))
	}
}
