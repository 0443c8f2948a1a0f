package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

type tokensView struct {
	Frame   ui.Frame
	Rows    []app.TokenView
	Now     time.Time
	State   string
	States  []option
	MayMake bool
	Form    tokenForm
}

// tokenForm is what was filled in, and what was wrong with it.
type tokenForm struct {
	trouble
	Member, Label, Days, Reason, Once string
	Chosen                            []string

	Members []option
	Roles   []check
}

func (w *Web) showTokens(v *visit) error {
	return w.listTokens(v, http.StatusOK, tokenForm{Days: "90"})
}

func (w *Web) tokensAsked(v *visit) ([]app.TokenView, string, error) {
	state := v.QueryParam("state")
	if !slices.Contains([]string{"", app.KeyActive, app.KeyExpired, app.KeyRevoked}, state) {
		return nil, state, fault.Invalid("state", "state_unknown", "A token is active, expired or revoked; not %.40q.", state)
	}
	rows, err := w.areas.Members.Tokens(v.Request().Context(), v.who, id.Member{})
	now := w.cfg.Now()
	return slices.DeleteFunc(rows, func(t app.TokenView) bool { return state != "" && t.State(now) != state }), state, err
}

func (w *Web) listTokens(v *visit, status int, form tokenForm) error {
	rows, state, err := w.tokensAsked(v)
	if err != nil {
		return err
	}
	view := &tokensView{Frame: v.frame("API tokens"), Rows: rows, Now: w.cfg.Now(), State: state, MayMake: v.may("token", "propose"), Form: form}
	for _, s := range []option{{Label: "All states"}, {Value: app.KeyActive, Label: "Active"}, {Value: app.KeyExpired, Label: "Expired"}, {Value: app.KeyRevoked, Label: "Revoked"}} {
		s.Selected = s.Value == state
		view.States = append(view.States, s)
	}
	if view.MayMake {
		if err := w.fillToken(v, &view.Form); err != nil {
			return err
		}
	}
	if err := w.tokensSheet(rows).prints(v, &view.Frame, "/tokens.csv", tokensFile(v)); err != nil {
		return err
	}
	return render(v, status, tokensPage(view))
}

func (w *Web) fillToken(v *visit, f *tokenForm) error {
	// The form carries its own idempotency key: sent twice, it makes one token.
	f.Once = secret.Mint("form_").Reveal()
	page, err := w.areas.Members.List(v.Request().Context(), v.who, app.MemberFilter{State: app.MemberActive})
	if err != nil {
		return err
	}
	f.Members = []option{{Label: "Choose"}}
	for i := range page.Rows {
		m := &page.Rows[i]
		words := make([]string, 0, len(m.Grants))
		for _, r := range memberRoles(m) {
			words = append(words, ui.Words(string(r)))
		}
		f.Members = append(f.Members, option{Value: m.ID.String(), Label: m.Name + " (" + strings.Join(words, ", ") + ")", Selected: m.ID.String() == f.Member})
	}
	f.Roles = nil
	for _, r := range app.Roles() {
		f.Roles = append(f.Roles, check{Value: string(r), Label: ui.Words(string(r)), Checked: slices.Contains(f.Chosen, string(r))})
	}
	return nil
}

type madeTokenView struct {
	Frame  ui.Frame
	Token  app.MadeToken
	APIURL string
}

func (w *Web) createToken(v *visit) error {
	if !v.may("token", "propose") {
		return app.ErrNotAllowed
	}
	form := tokenForm{
		Member: v.FormValue("member"), Label: v.FormValue("label"), Days: strings.TrimSpace(v.FormValue("days")), Reason: v.FormValue("reason"), Once: v.FormValue("once"),
		Chosen: v.Request().Form["role"],
	}
	member, err := id.ParseMember(form.Member)
	if err != nil {
		err = fault.Invalid("member", "member_missing", "Choose whose token it is.")
	}
	var life time.Duration
	if err == nil {
		life, err = days("days", form.Days, 365)
	}
	var made app.MadeToken
	if err == nil {
		want := app.NewToken{Member: member, Label: form.Label, Life: life}
		for _, role := range form.Chosen {
			want.Roles = append(want.Roles, app.Role(role))
		}
		made, err = w.areas.Members.MakeToken(v.Request().Context(), v.who, want, form.Reason, form.Once)
	}
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		f := fault.From(err)
		form.trouble = trouble{f.Message, f.Field}
		return w.listTokens(v, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	// The answer to the form is the page itself: a redirect would have to carry the secret.
	return render(v, http.StatusCreated, madeTokenPage(&madeTokenView{
		Frame: v.frame("API token made"), Token: made, APIURL: w.cfg.PublicURL.JoinPath("api", "v1").String(),
	}))
}

func (w *Web) exportTokens(v *visit) error {
	rows, _, err := w.tokensAsked(v)
	if err != nil {
		return err
	}
	return w.tokensSheet(rows).send(v, tokensFile(v))
}

func tokensFile(v *visit) string { return "api-tokens-" + v.slug + ".csv" }

func (w *Web) tokensSheet(rows []app.TokenView) *sheet {
	now := w.cfg.Now()
	out := newSheet("token", "label", "member", "owner", "roles", "state", "made", "made_by", "expires", "last_used", "revoked")
	for i := range rows {
		t := &rows[i]
		words := make([]string, 0, len(t.Roles))
		for _, r := range t.Roles {
			words = append(words, string(r))
		}
		_ = out.Write([]string{
			t.ID.String(), cell(t.Label), t.Member.String(), cell(t.Owner), strings.Join(words, " "), t.State(now), instantText(t.RecordedAt), cell(t.Made.Name),
			instantText(t.ExpiresAt), instantText(t.LastUsedAt), instantText(t.RevokedAt),
		})
	}
	return out
}

type tokenEndView struct {
	Frame  ui.Frame
	Token  app.TokenView
	State  string
	Reason string
	trouble
}

func (w *Web) confirmTokenEnd(v *visit) error {
	return w.tokenEndPage(v, http.StatusOK, "", trouble{})
}

// tokenEndPage restates what will end before it does.
func (w *Web) tokenEndPage(v *visit, status int, reason string, t trouble) error {
	if !v.may("token", "propose") {
		return app.ErrNotAllowed
	}
	token, err := id.ParseToken(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	found, err := w.areas.Members.Token(v.Request().Context(), v.who, token)
	if err != nil {
		return err
	}
	return render(v, status, tokenEndPage(&tokenEndView{
		Frame: v.frame("Revoke an API token"), Token: found, State: found.State(w.cfg.Now()), Reason: reason, trouble: t,
	}))
}

func (w *Web) revokeToken(v *visit) error {
	if !v.may("token", "propose") {
		return app.ErrNotAllowed
	}
	token, err := id.ParseToken(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	reason := v.FormValue("reason")
	err = w.areas.Members.RevokeToken(v.Request().Context(), v.who, token, reason)
	if status, f := retold(err); status != 0 {
		return w.tokenEndPage(v, status, reason, trouble{f.Message, f.Field})
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/tokens")
}
