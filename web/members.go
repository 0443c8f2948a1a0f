package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/web/api"
	"tollbook/web/ui"
)

// membersQuery is the state of the page of members: all of it is in the URL.
type membersQuery struct {
	Text, Role, State string
	AsOf              string // as typed
	From              int
}

func (v *visit) membersQuery() (membersQuery, app.MemberFilter, error) {
	q := membersQuery{
		Text: strings.TrimSpace(v.QueryParam("q")), Role: v.QueryParam("role"), State: v.QueryParam("state"), AsOf: strings.TrimSpace(v.QueryParam("as_of")),
	}
	f := app.MemberFilter{Text: q.Text, Role: app.Role(q.Role), State: q.State}
	if q.AsOf != "" {
		at, err := api.ParseInstant("as_of", q.AsOf)
		if err != nil {
			return q, f, err
		}
		f.AsOf = at.Time
	}
	if text := v.QueryParam("from"); text != "" {
		from, err := strconv.Atoi(text)
		if err != nil || from < 0 {
			return q, f, fault.Invalid("from", "offset_syntax", "A page starts at a whole number; %.40q is none.", text)
		}
		q.From, f.Offset = from, from
	}
	return q, f, nil
}

func (q membersQuery) url(path string) string {
	values := url.Values{}
	for name, value := range map[string]string{"q": q.Text, "role": q.Role, "state": q.State, "as_of": q.AsOf} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.From > 0 {
		values.Set("from", strconv.Itoa(q.From))
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (q membersQuery) filtered() bool { return q.Text != "" || q.Role != "" || q.State != "" }

type membersView struct {
	Frame       ui.Frame
	Query       membersQuery
	Page        app.MemberPage
	Past        bool // as of an instant that is given
	Roles       []option
	States      []option
	CSV, Next   string
	Invitations []app.InvitationView
	Duties      []app.Duty
	MayChange   bool
	Form        inviteForm
	FilterError string
}

// inviteForm is what was filled in, and what was wrong with it.
type inviteForm struct {
	trouble
	Name, Email, Issuer, Role, Node, Days, Reason, Once string

	Issuers, Roles, Nodes []option
}

const membersShown = 100

func (w *Web) showMembers(v *visit) error {
	return w.listMembers(v, http.StatusOK, inviteForm{Days: "7"})
}

func (w *Web) listMembers(v *visit, status int, form inviteForm) error {
	ctx := v.Request().Context()
	q, filter, err := v.membersQuery()
	filter.Limit = membersShown
	view := &membersView{Frame: v.frame("Members"), Query: q, Past: q.AsOf != "", MayChange: v.may("member", "propose"), Form: form}
	if err == nil {
		view.Page, err = w.areas.Members.List(ctx, v.who, filter)
	}
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		// The same page with what was typed: nothing is shown that was not asked for.
		status, view.FilterError = http.StatusUnprocessableEntity, fault.From(err).Message
		_, err = w.areas.Members.List(ctx, v.who, app.MemberFilter{Limit: 1})
	}
	if err != nil {
		return err
	}
	if view.Invitations, err = w.areas.Members.Invitations(ctx, v.who); err != nil {
		return err
	}
	view.Duties, view.CSV = w.access.Duties(), membersQuery{Text: q.Text, Role: q.Role, State: q.State, AsOf: q.AsOf}.url("/members.csv")
	if view.Page.Next > 0 {
		next := q
		next.From = view.Page.Next
		view.Next = next.url("/members")
	}
	view.Roles = append(roleOptions("All roles", app.Role(q.Role)), option{Value: string(app.RoleServiceAccount), Label: "Service account", Selected: q.Role == string(app.RoleServiceAccount)})
	for _, s := range []option{{Label: "All states"}, {Value: app.MemberActive, Label: "Active"}, {Value: app.MemberSuspended, Label: "Suspended"}} {
		s.Selected = s.Value == q.State
		view.States = append(view.States, s)
	}
	if view.MayChange {
		if err := w.fillInvite(v, &view.Form); err != nil {
			return err
		}
	}
	if view.FilterError == "" {
		if err := membersSheet(&view.Page).paged(q.From > 0 || view.Next != "").prints(v, &view.Frame, "/members.csv", membersFile(v, &view.Page)); err != nil {
			return err
		}
	}
	return render(v, status, membersPage(view))
}

func (w *Web) fillInvite(v *visit, f *inviteForm) error {
	var err error
	// The form carries its own idempotency key: sent twice, it makes one invitation.
	f.Once = secret.Mint("form_").Reveal()
	f.Roles = roleOptions("Choose", app.Role(f.Role))
	if f.Issuers, err = w.issuerOptions(v, f.Issuer); err != nil {
		return err
	}
	f.Nodes, err = w.nodeOptions(v, "The whole company", f.Node)
	return err
}

type invitedView struct {
	Frame ui.Frame
	Made  app.MadeInvitation
	Email string
	URL   string
}

func (w *Web) invite(v *visit) error {
	form := inviteForm{
		Name: v.FormValue("name"), Email: strings.TrimSpace(v.FormValue("email")), Issuer: v.FormValue("issuer"), Role: v.FormValue("role"), Node: v.FormValue("node"),
		Days: strings.TrimSpace(v.FormValue("days")), Reason: v.FormValue("reason"), Once: v.FormValue("once"),
	}
	life, err := days("days", form.Days, 30)
	want := app.NewInvitation{Name: form.Name, Email: form.Email, Role: app.Role(form.Role), NodeCode: form.Node, Life: life}
	if issuer, parseErr := id.ParseIssuer(form.Issuer); parseErr == nil {
		want.Issuer = issuer
	}
	if !v.may("member", "propose") {
		return app.ErrNotAllowed
	}
	var made app.MadeInvitation
	if err == nil {
		made, err = w.areas.Members.Invite(v.Request().Context(), v.who, want, form.Reason, form.Once)
	}
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		f := fault.From(err)
		form.trouble = trouble{f.Message, f.Field}
		return w.listMembers(v, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	// The answer to the form is the page itself: a redirect would have to carry the link.
	return render(v, http.StatusCreated, invitedPage(&invitedView{
		Frame: v.frame("Invitation made"), Made: made, Email: form.Email, URL: w.cfg.PublicURL.JoinPath("join", made.Code.Reveal()).String(),
	}))
}

// days reads a number of days as a life.
func days(field, text string, most int) (time.Duration, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fault.Invalid(field, "days_range", "A whole number of days from 1 to %d.", most)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

func (w *Web) withdrawInvitation(v *visit) error {
	if !v.may("member", "propose") {
		return app.ErrNotAllowed
	}
	invitation, err := id.ParseInvitation(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	if err := w.areas.Members.WithdrawInvitation(v.Request().Context(), v.who, invitation, "withdrawn on the page of members"); err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/members")
}

// exportMembers is the access review: a line for each role somebody holds.
func (w *Web) exportMembers(v *visit) error {
	_, filter, err := v.membersQuery()
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	if part {
		filter.Limit = membersShown
	} else {
		filter.Offset = 0
	}
	page, err := w.areas.Members.List(v.Request().Context(), v.who, filter)
	if err != nil {
		return err
	}
	return membersSheet(&page).paged(part).send(v, membersFile(v, &page))
}

func membersFile(v *visit, page *app.MemberPage) string {
	return "access-review-" + v.slug + "-" + page.AsOf.UTC().Format(time.DateOnly) + ".csv"
}

func membersSheet(page *app.MemberPage) *sheet {
	out := newSheet("as_of", "member", "person", "name", "email", "kind", "issuer", "state", "suspended_since", "last_sign_in", "role", "subtree", "subtree_name", "since",
		"granted_by", "change", "change_reason", "group", "conflicts_of_duty")
	for i := range page.Rows {
		m := &page.Rows[i]
		kind := "person"
		if m.Service {
			kind = "service account"
		}
		who := []string{
			page.AsOf.UTC().Format(time.RFC3339), m.ID.String(), m.Person.String(), cell(m.Name), cell(m.Email), kind, cell(m.Issuer), m.State(), instantText(m.SuspendedAt), instantText(m.LastSignInAt),
		}
		var conflicts []string
		for _, d := range m.Conflicts {
			conflicts = append(conflicts, d.Code)
		}
		if len(m.Grants) == 0 {
			_ = out.Write(append(slices.Clone(who), "", "", "", "", "", "", "", "", strings.Join(conflicts, " ")))
		}
		for _, g := range m.Grants {
			_ = out.Write(append(slices.Clone(who), string(g.Role), cell(g.NodeCode), cell(g.NodeName), instantText(g.Since), cell(g.By.Name),
				strconv.FormatInt(g.Number, 10), cell(g.Reason), cell(g.Group), strings.Join(conflicts, " ")))
		}
	}
	return out
}

func instantText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
