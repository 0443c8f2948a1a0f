package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/web/ui"
)

const offboardingPath = "/settings/offboarding"

// offboardingPages are the page of a company's end here.
func (w *Web) offboardingPages() []Route {
	return []Route{
		w.page(http.MethodGet, offboardingPath, w.showOffboarding, "offboarding", "read"),
		w.page(http.MethodPost, offboardingPath, w.proposeOffboarding, "offboarding", "propose"),
	}
}

type offboardingView struct {
	Frame   ui.Frame
	Ends    app.OffboardingView
	MayAsk  bool
	Form    offboardingForm
	Effects []offboardingEffect
	Checks  []offboardingCheck
}

// offboardingForm is what was filled in, and what was wrong with it.
type offboardingForm struct {
	trouble
	Slug, Reason string
}

// offboardingEffect is one thing that ends, with how many there are.
type offboardingEffect struct {
	Name  string
	Count int64
	How   string
	URL   string // of the list of them; empty: there is none, or it is not for this person
}

// offboardingCheck is one thing that has to be so before it can be proposed.
type offboardingCheck struct {
	Name  string
	Good  bool
	Words string
	Links []link
}

func (w *Web) showOffboarding(v *visit) error {
	return w.offboardingPage(v, http.StatusOK, offboardingForm{})
}

func (w *Web) offboardingPage(v *visit, status int, form offboardingForm) error {
	ends, err := w.areas.Offboardings.Show(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := &offboardingView{Frame: v.frame("Offboarding"), Ends: ends, MayAsk: v.may("offboarding", "propose"), Form: form, Effects: offboardingEffects(v, &ends), Checks: offboardingChecks(&ends)}
	return render(v, status, offboardingPage(view))
}

func (w *Web) proposeOffboarding(v *visit) error {
	if !v.may("offboarding", "propose") {
		return app.ErrNotAllowed
	}
	form := offboardingForm{Slug: strings.TrimSpace(v.FormValue("slug")), Reason: v.FormValue("reason")}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskOffboarding(form.Slug, v.FormValue("export"), form.Reason), "")
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.offboardingPage(v, status, form)
	}
	return v.proposed(made, err, offboardingPath)
}

// offboardingEffects list what ends at once, each with how.
func offboardingEffects(v *visit, ends *app.OffboardingView) []offboardingEffect {
	has := &ends.Holdings
	at := func(object, url string) string {
		if v.may(object, "read") {
			return url
		}
		return ""
	}
	waiting := has.Waiting
	if !ends.Waiting.IsZero() {
		waiting-- // itself
	}
	return []offboardingEffect{
		{"Virtual keys", has.Keys, "revoked; every gateway refuses them within a second", at("key", "/keys")},
		{"API tokens", has.Tokens, "revoked", at("token", "/tokens")},
		{"Sessions", has.Sessions, "ended; nobody can sign in any more, and is told why", ""},
		{"Command-line logins", has.Logins, "ended, with the credentials they were given", ""},
		{"Delegations", has.Delegations, "ended", at("policy", "/changes/delegations")},
		{"Rights to charge", has.Rights, "ended", at("key", "/keys/rights")},
		{"Invitations", has.Invitations, "withdrawn", at("member", "/members")},
		{"Channels", has.Channels, "ended; their addresses are destroyed", at("channel", channelsPath)},
		{"Other proposals", waiting, "withdrawn, naming this change", at("change", "/changes")},
		{"Provider’s credentials", has.Upstreams, "destroyed, those of former versions too", at("setting", "/settings")},
	}
}

// offboardingChecks say what keeps it from being proposed.
func offboardingChecks(ends *app.OffboardingView) []offboardingCheck {
	export := offboardingCheck{Name: "Export of everything", Words: "None was finished. Whoever runs this installation makes one with: tollbook tenant export " + ends.Slug + " FILE"}
	if e := ends.Export; e != nil && e.Whole() {
		export.Good, export.Words = true, "of "+ui.Instant(e.AsOf)+", "+ui.Plural(e.Rows, "row")+"; no request, adjustment or journal entry came after it"
	} else if e != nil {
		export.Words = "That of " + ui.Instant(e.AsOf) + " does not hold everything: after it came " + batches(e.Batches) + " of requests, " +
			batches(e.Adjustments) + " of adjustments, " + ui.Count(e.Entries) + " for the journal and " + ui.Plural(e.Invoices, "invoice") + ". Let the requests end, and have it made again."
	}
	holds := offboardingCheck{Name: "Legal holds", Good: len(ends.Holds) == 0, Words: "none is in force"}
	if !holds.Good {
		holds.Words = ui.Plural(int64(len(ends.Holds)), "hold") + " in force: each has to be ended first, by a change that two persons decide"
		for i := range ends.Holds {
			h := &ends.Holds[i]
			holds.Links = append(holds.Links, changeLink(h.Change, h.Number, holdWords(h)))
		}
	}
	open := offboardingCheck{Name: "Proposal", Good: ends.Waiting.IsZero(), Words: "none waits"}
	if !open.Good {
		open.Words = "one waits for its decision; until then its maker can withdraw it"
		open.Links = []link{changeLink(ends.Waiting, ends.WaitingNumber, "")}
	}
	return []offboardingCheck{export, holds, open}
}

func batches(n int64) string {
	if n == 1 {
		return "1 batch"
	}
	return ui.Count(n) + " batches"
}

func changeLink(change id.Change, number int64, words string) link {
	label := changeNumber(number)
	if words != "" {
		label += ", " + words
	}
	return link{Label: label, URL: "/changes/" + change.String()}
}

// offboardingDiff says what a proposal of a company's end is about.
func offboardingDiff(payload []byte) []fieldDiff {
	var said struct {
		Slug   string    `json:"slug"`
		Export string    `json:"export"`
		AsOf   time.Time `json:"export_as_of"`
	}
	if json.Unmarshal(payload, &said) != nil || said.Slug == "" {
		return nil
	}
	return []fieldDiff{
		{Name: "company", Was: []string{said.Slug}}, {Name: "handed over", Is: []string{"everything as of " + ui.Instant(said.AsOf)}}, {Name: "its manifest, SHA-256", Is: []string{said.Export}},
	}
}

// keptUntil says when a class's months have been kept long enough.
func keptUntil(c *app.RemainingClass) string {
	switch {
	case c.Months == 0:
		return "nothing is here"
	case c.First.Equal(c.Last):
		return ui.Day(c.Last)
	}
	return ui.Day(c.First) + " to " + ui.Day(c.Last)
}

// remainsWords say in a line what of a former company is kept, and until when.
func remainsWords(r *app.Remains) string {
	switch {
	case !r.PurgedAt.IsZero():
		return "purged on " + ui.Day(r.PurgedAt) + "; tombstones and the log’s digests stay"
	case r.Until.IsZero():
		return "nothing is kept; the rest goes with the next purge"
	}
	words := ui.Plural(r.Requests, "request") + " and " + ui.Plural(r.Records, "record") + " kept until " + ui.Day(r.Until)
	if r.Held > 0 {
		words += ", and as long as " + ui.Plural(int64(r.Held), "legal hold") + " stands"
	}
	return words
}
