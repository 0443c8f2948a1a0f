package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/web/ui"
)

type requestView struct {
	Frame      ui.Frame
	Request    *app.Story
	Total      int64 // tokens
	Times      []moment
	Local      string // the start in the company's own zone; empty: that is UTC
	Raw        string // the provider's own count, laid out
	Flags      []flag
	MayRules   bool   // may see the company's rules
	MayChanges bool   // may see changes
	Retag      string // leads to charging it elsewhere; empty for who may not propose that
	Prices     string // where the price book is shown; empty for who may not see it
}

// moment is when something happened to a request.
type moment struct {
	What  string
	At    time.Time
	After string // how long after the start
	Note  string
}

// flag is what is not final or odd about a request, in words.
type flag struct{ Code, Words string }

func (w *Web) showRequest(v *visit) error {
	event, err := id.ParseEvent(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	story, found, err := w.areas.Reports.Request(v.Request().Context(), v.who, event)
	if err != nil {
		return err
	}
	if !found {
		return errPageAbsent
	}
	view := &requestView{Frame: v.frame("Request " + ui.ShortID(story.ID.String())), Request: &story, Times: moments(&story), Local: v.local(story.OccurredAt), Raw: laidOut(story.RawUsage), MayRules: v.may("rule", "read")}
	for _, n := range story.Tokens {
		view.Total += n
	}
	for _, code := range story.Flags {
		view.Flags = append(view.Flags, flag{code, flagWords(code)})
	}
	view.MayChanges = v.may("change", "read")
	if v.may("retag", "propose") {
		view.Retag = retagPath + "?id=" + story.ID.String()
	}
	if v.may("price", "read") {
		view.Prices = pricesQuery{Version: story.PriceVersion, Model: pricedModel(story.ModelServedOrAsked()), Era: eraAll}.url("/prices")
	}
	return render(v, http.StatusOK, requestPage(view))
}

// pricedModel is a model as price books name it: without the date of a release.
func pricedModel(name string) string {
	if cut := strings.LastIndexByte(name, '-'); cut > 0 && len(name)-cut == 9 && strings.Trim(name[cut+1:], "0123456789") == "" {
		return name[:cut]
	}
	return name
}

// moments are the times of a request, in the order they happen.
func moments(s *app.Story) []moment {
	list := []moment{{What: "Started", At: s.OccurredAt, Note: "when it reached the gateway; this instant decides the price and the month"}}
	for _, m := range []moment{
		{What: "Sent to the provider", At: s.SentAt},
		{What: "First byte of the answer", At: s.FirstByte},
		{What: "Last byte of the answer", At: s.EndedAt},
		{What: "In the ledger", At: s.RecordedAt, Note: "posted to " + monthName(s.Posting)},
	} {
		if !m.At.IsZero() {
			m.After = elapsed(m.At.Sub(s.OccurredAt))
		}
		list = append(list, m)
	}
	return list
}

// elapsed prints how long after the start something was, in a unit that fits.
func elapsed(d time.Duration) string {
	switch {
	case d < 0:
		return "before the start: clocks differ"
	case d < time.Second:
		return fmt.Sprintf("+%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("+%d.%01d s", d/time.Second, d%time.Second/(100*time.Millisecond))
	case d < 48*time.Hour:
		return fmt.Sprintf("+%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("+%d days", d/(24*time.Hour))
}

// laidOut indents JSON; what is none stays as it is.
func laidOut(document []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, document, "", "  ") != nil {
		return strings.ToValidUTF8(string(document), "\uFFFD")
	}
	return out.String()
}

// charged are the lines of a request's charge that say something.
func charged(r *app.Request) []app.ClassCharge {
	var lines []app.ClassCharge
	for _, l := range r.Charges {
		if l.Quantity != 0 || l.Amount != 0 {
			lines = append(lines, l)
		}
	}
	return lines
}

// ruleWords says in words what decided where a request is charged.
func ruleWords(rule string) string {
	switch rule {
	case "key":
		return "The virtual key's cost center."
	case "project":
		return "The project the request declared, which the key may charge."
	case "key:project_unknown":
		return "The virtual key's cost center: the request declared a project no node has as its code."
	case "key:project_outside":
		return "The virtual key's cost center: the request declared a project this key may not charge."
	case "suspense":
		return "Suspense: the key's cost center did not exist at that time."
	}
	code, note := ruleCode(rule)
	if note != "" {
		return "The attribution rule " + code + "; a node it names was not there at that time, and its share went to suspense."
	}
	return "The attribution rule " + code + "."
}

// ruleCode takes apart how rows name a rule of the company's: its code, and whether a node
// was missing.
func ruleCode(rule string) (code, note string) {
	code, note, _ = strings.Cut(strings.TrimPrefix(rule, "rule:"), ":")
	return code, note
}

// ruleLabel names in short what decided.
func ruleLabel(rule string) string {
	if code, _ := ruleCode(rule); strings.HasPrefix(rule, "rule:") {
		return "Rule " + code
	}
	return "What is named " + rule
}

// fact is a word the provider or the request said.
type fact struct{ Label, Value string }

// servedAs are the words an answer said of itself that decide its price, and what the
// request declared.
func servedAs(s *app.Story) []fact {
	var list []fact
	for _, f := range []fact{
		{"Stopped because", s.StopReason}, {"Speed", s.Speed}, {"Geography", s.Geography}, {"Tier", s.Tier}, {"Declared project", s.Project},
	} {
		if f.Value != "" {
			list = append(list, f)
		}
	}
	return list
}

// basisPointWords prints a discount.
func basisPointWords(bps int64) string { return shareOf(bps*100) + " discount" }
