package web

import (
	"net/http"
	"strconv"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/web/ui"
)

type eraseView struct {
	Frame      ui.Frame
	Story      app.MemberStory
	OutOfReach []string
	Reason     string
	trouble
}

// confirmErase restates what can never be read again before it is proposed.
func (w *Web) confirmErase(v *visit) error { return w.erasePage(v, http.StatusOK, "", trouble{}) }

func (w *Web) erasePage(v *visit, status int, reason string, t trouble) error {
	if !v.may("member", "propose") {
		return app.ErrNotAllowed
	}
	member, err := id.ParseMember(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	story, err := w.areas.Members.Story(v.Request().Context(), v.who, member)
	if err != nil {
		return err
	}
	return render(v, status, erasePage(&eraseView{Frame: v.frame("Erase a person"), Story: story, OutOfReach: app.OutOfReach(), Reason: reason, trouble: t}))
}

func (w *Web) proposeErase(v *visit) error {
	if !v.may("member", "propose") {
		return app.ErrNotAllowed
	}
	member, err := id.ParseMember(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	reason := v.FormValue("reason")
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskErasure(member, reason), "")
	if status, f := retold(err); status != 0 {
		return w.erasePage(v, status, reason, trouble{f.Message, f.Field})
	}
	return v.proposed(made, err, "/members/"+member.String())
}

type erasureView struct {
	Frame   ui.Frame
	Erasure app.Erasure
}

func (w *Web) erasureAsked(v *visit) (app.Erasure, error) {
	change, err := id.ParseChange(v.Param("id"))
	if err != nil {
		return app.Erasure{}, errPageAbsent
	}
	return w.areas.Members.Erasure(v.Request().Context(), v.who, change)
}

func (w *Web) showErasure(v *visit) error {
	found, err := w.erasureAsked(v)
	if err != nil {
		return err
	}
	view := &erasureView{Frame: v.frame("Erasure by " + changeNumber(found.Number)), Erasure: found}
	if err := erasureSheet(&found).prints(v, &view.Frame, "/members/erasures/:id/report.csv", erasureFile(v, &found)); err != nil {
		return err
	}
	return render(v, http.StatusOK, erasurePage(view))
}

func (w *Web) exportErasure(v *visit) error {
	found, err := w.erasureAsked(v)
	if err != nil {
		return err
	}
	return erasureSheet(&found).send(v, erasureFile(v, &found))
}

func erasureFile(v *visit, e *app.Erasure) string {
	return "erasure-" + v.slug + "-" + strconv.FormatInt(e.Number, 10) + ".csv"
}

// erasedLine is one line of the report: how many of something.
type erasedLine struct {
	Reached bool
	Count   int64 // -1: nobody can count it
	Words   string
}

// erasedLines puts a report into lines, the same for the page and the file.
func erasedLines(e *app.Erasure) []erasedLine {
	var list []erasedLine
	add := func(reached bool, n int64, words string) {
		if n != 0 {
			list = append(list, erasedLine{reached, n, words})
		}
	}
	for i := range e.Parts {
		p := &e.Parts[i]
		add(true, p.Keys, "Keys destroyed of "+p.Kind+" "+p.Subject)
		add(true, p.Accounts, "Accounts whose issuer and subject were cleared")
		add(true, p.Sessions, "Sessions whose claims were cleared")
		add(true, p.Invitations, "Invitations whose name and address were cleared")
		add(true, p.Labels, "Developer labels cleared")
		add(false, p.Decisions, "Signed decisions whose issuer tokens are evidence")
		add(false, p.Deliveries, "Messages sent to them")
		add(false, p.Exports, "Exports of the company’s data or log made so far")
	}
	for _, words := range e.OutOfReach {
		add(false, -1, words)
	}
	return list
}

func erasureSheet(e *app.Erasure) *sheet {
	out := newSheet("change", "erased_at", "reached", "count", "what")
	for _, l := range erasedLines(e) {
		count := ""
		if l.Count >= 0 {
			count = strconv.FormatInt(l.Count, 10)
		}
		_ = out.Write([]string{strconv.FormatInt(e.Number, 10), instantText(e.ErasedAt), strconv.FormatBool(l.Reached), count, cell(l.Words)})
	}
	return out
}
