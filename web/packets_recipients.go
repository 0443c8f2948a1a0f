package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/web/ui"
)

type recipientsView struct {
	Frame     ui.Frame
	Rows      []app.RecipientView
	MailOn    bool
	MayChange bool
	Alert     string
	Form      recipientForm
	CSV       string
}

// recipientForm is what was filled in, and what was wrong with it. Secrets are not given back.
type recipientForm struct {
	trouble
	Ask    app.RecipientAsk
	Reason string

	DraftDay, DraftHour, LockDays     string
	Endpoint, Bucket, Prefix, Region  string
	AccessKey                         string
	Kinds, Members, Carries, Schedule []option
}

func (w *Web) showRecipients(v *visit) error {
	form := recipientForm{Ask: app.RecipientAsk{Kind: app.RecipientPerson, Carries: app.CarriesArchive, Final: true}, DraftDay: "3", DraftHour: "8"}
	return w.recipientsPage(v, http.StatusOK, form, "")
}

func (w *Web) recipientsPage(v *visit, status int, form recipientForm, alert string) error {
	rows, err := w.areas.Packets.Recipients(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := &recipientsView{Frame: v.frame("Recipients of packets"), Rows: rows, MailOn: w.areas.Notices.MailOn(), MayChange: v.may("recipient", "propose"), Alert: alert, Form: form, CSV: recipientsPath + ".csv"}
	if view.MayChange {
		if err := w.recipientChoices(v, &view.Form); err != nil {
			return err
		}
	}
	if err := recipientsSheet(rows).prints(v, &view.Frame, recipientsPath+".csv", recipientsFile(v)); err != nil {
		return err
	}
	return render(v, status, recipientsPage(view))
}

// recipientChoices fills in what can be chosen.
func (w *Web) recipientChoices(v *visit, f *recipientForm) error {
	for _, kind := range []string{app.RecipientPerson, app.RecipientMail, app.RecipientS3, app.RecipientWebhook} {
		f.Kinds = append(f.Kinds, option{Value: kind, Label: recipientWords(kind), Selected: f.Ask.Kind == kind})
	}
	for _, c := range [][2]string{{app.CarriesArchive, "The whole packet"}, {app.CarriesSummary, "The summary alone"}, {app.CarriesLink, "A link that asks to sign in"}} {
		f.Carries = append(f.Carries, option{Value: c[0], Label: c[1], Selected: f.Ask.Carries == c[0]})
	}
	for _, s := range [][2]string{{"final", "The final packet at close"}, {"draft", "A draft on a day of the month after"}, {"both", "Both"}} {
		f.Schedule = append(f.Schedule, option{Value: s[0], Label: s[1], Selected: f.schedule() == s[0]})
	}
	people, err := w.areas.Packets.Candidates(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	f.Members = []option{{Label: "Choose a person"}}
	for _, p := range people {
		f.Members = append(f.Members, option{Value: p.Member.String(), Label: p.Name, Selected: f.Ask.Member == p.Member.String()})
	}
	return nil
}

func (f *recipientForm) schedule() string {
	switch {
	case f.Ask.Final && f.Ask.DraftDay > 0:
		return "both"
	case f.Ask.DraftDay > 0:
		return "draft"
	}
	return "final"
}

// readRecipient reads the form: which fields count follows from the kind.
func readRecipient(v *visit) (recipientForm, error) {
	get := func(name string) string { return strings.TrimSpace(v.FormValue(name)) }
	f := recipientForm{
		Reason: v.FormValue("reason"), DraftDay: get("draft_day"), DraftHour: get("draft_hour"), LockDays: get("lock_days"), Endpoint: get("endpoint"), Bucket: get("bucket"), Prefix: get("prefix"),
		Region: get("region"), AccessKey: get("access_key"), Ask: app.RecipientAsk{Kind: get("kind"), Label: get("label"), Scope: get("scope"), Carries: get("carries")},
	}
	a := &f.Ask
	switch a.Kind {
	case app.RecipientPerson:
		a.Member = get("member")
	case app.RecipientMail, app.RecipientWebhook:
		a.Address = get("address")
	case app.RecipientS3:
		a.Secret = v.FormValue("secret")
		a.Store = &app.StoreAddr{Endpoint: f.Endpoint, Region: f.Region, Bucket: f.Bucket, Prefix: f.Prefix, AccessKey: f.AccessKey}
		if f.LockDays != "" {
			days, err := strconv.Atoi(f.LockDays)
			if err != nil {
				return f, fault.Invalid("lock_days", "recipient_store", "Objects are locked for a number of days; empty is none.")
			}
			a.Store.LockDays = days
		}
	}
	when := get("schedule")
	a.Final = when != "draft"
	if when == "draft" || when == "both" {
		day, err := strconv.Atoi(f.DraftDay)
		hour, err2 := strconv.Atoi(f.DraftHour)
		if err != nil || err2 != nil || day < 1 {
			return f, fault.Invalid("draft_day", "recipient_schedule", "Drafts go on a day from 1 to 28 of the month after, at an hour from 0 to 23.")
		}
		a.DraftDay, a.DraftHour = day, hour
	}
	return f, nil
}

func (w *Web) addRecipient(v *visit) error {
	if !v.may("recipient", "propose") {
		return app.ErrNotAllowed
	}
	form, err := readRecipient(v)
	var made app.MadeRecipient
	if err == nil {
		made, err = w.areas.Packets.AddRecipient(v.Request().Context(), v.who, form.Ask, form.Reason)
	}
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.recipientsPage(v, status, form, "")
	}
	if err != nil || made.Secret.IsZero() {
		return v.proposed(made.ChangeView, err, recipientsPath)
	}
	// The answer to the form is the page itself: a redirect would have to carry the secret.
	return render(v, http.StatusCreated, madeRecipientPage(&madeChannelView{Frame: v.frame("Recipient proposed"), Label: form.Ask.Label, Secret: made.Secret.Reveal(), Waiting: made.Open()}))
}

func (w *Web) endRecipient(v *visit) error {
	if !v.may("recipient", "propose") {
		return app.ErrNotAllowed
	}
	recipient, err := id.ParseRecipient(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	made, err := w.areas.Packets.EndRecipient(v.Request().Context(), v.who, recipient, "ended on the page of recipients")
	if status, f := retold(err); status != 0 {
		return w.recipientsPage(v, status, recipientForm{Ask: app.RecipientAsk{Kind: app.RecipientPerson, Carries: app.CarriesArchive, Final: true}}, f.Message)
	}
	return v.proposed(made, err, recipientsPath)
}

func recipientsFile(v *visit) string { return "recipients-" + v.slug + ".csv" }

func recipientsSheet(rows []app.RecipientView) *sheet {
	out := newSheet("recipient", "label", "kind", "host", "address", "person", "scope", "carries", "sent", "state", "live", "proposed_at", "proposed_by", "change", "ended_at")
	for i := range rows {
		r := &rows[i]
		ended := ""
		if !r.EndedAt.IsZero() {
			ended = r.EndedAt.Format(time.RFC3339Nano)
		}
		_ = out.Write([]string{
			r.ID.String(), cell(r.Label), r.Kind, cell(r.Host), cell(sealedWords(r.Sealed)), cell(r.Person.Name), cell(r.Scope), r.Carries, cell(r.Words), string(r.State), strconv.FormatBool(r.Live), r.Since.Format(time.RFC3339Nano),
			cell(r.By.Name), number(r.Number), ended,
		})
	}
	return out
}

func (w *Web) exportRecipients(v *visit) error {
	rows, err := w.areas.Packets.Recipients(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	return recipientsSheet(rows).send(v, recipientsFile(v))
}
