package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/web/ui"
)

type memberView struct {
	Frame     ui.Frame
	Story     app.MemberStory
	Now       time.Time
	Own       bool // the one who looks
	MayChange bool
	MayTokens bool
	Roles     []check
	Nodes     []option
	RoleForm  memberForm
	LinkForm  memberForm
}

// memberForm is what was filled in, and what was wrong with it.
type memberForm struct {
	trouble
	Reason, Account, Node string
	Chosen                []string // nil: the form was not sent
}

type check struct {
	Value, Label string
	Checked      bool
}

func (w *Web) showMember(v *visit) error {
	return w.memberPage(v, http.StatusOK, memberForm{}, memberForm{})
}

func (w *Web) memberPage(v *visit, status int, roles, link memberForm) error {
	member, err := id.ParseMember(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	story, err := w.areas.Members.Story(v.Request().Context(), v.who, member)
	if err != nil {
		return err
	}
	view := &memberView{
		Frame: v.frame(story.Member.Name), Story: story, Now: w.cfg.Now(), Own: story.Member.Person == v.who.Person, MayChange: v.may("member", "propose"),
		MayTokens: v.may("token", "read"), RoleForm: roles, LinkForm: link, Roles: roleChecks(&story.Member, roles.Chosen),
	}
	if view.MayChange {
		if view.Nodes, err = w.nodeOptions(v, "No further one", roles.Node); err != nil {
			return err
		}
	}
	return render(v, status, memberPage(view))
}

// roleChecks are the roles of a form, checked as the member has them or as they were
// sent. Roles from a group are not of it: they follow the group.
func roleChecks(m *app.MemberView, sent []string) []check {
	var list []check
	held := func(role app.Role, node string) bool {
		return slices.ContainsFunc(m.Grants, func(g app.GrantView) bool { return g.Group == "" && g.Role == role && g.NodeCode == node })
	}
	add := func(role app.Role, node string) {
		value := string(role)
		if node != "" {
			value += ":" + node
		}
		checked := held(role, node)
		if sent != nil {
			checked = slices.Contains(sent, value)
		}
		list = append(list, check{Value: value, Label: roleWords(role, node), Checked: checked})
	}
	for _, r := range app.Roles() {
		switch r {
		case app.RoleServiceAccount:
		case app.RoleBudgetOwner:
			for _, g := range m.Grants {
				if g.Role == r && g.Group == "" {
					add(r, g.NodeCode)
				}
			}
		default:
			add(r, "")
		}
	}
	return list
}

func (w *Web) changeRoles(v *visit) error {
	if !v.may("member", "propose") {
		return app.ErrNotAllowed
	}
	member, err := id.ParseMember(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	form := memberForm{Reason: v.FormValue("reason"), Node: v.FormValue("node")}
	form.Chosen = append([]string{}, v.Request().Form["role"]...)
	var wishes []app.RoleWish
	for _, text := range form.Chosen {
		role, node, _ := strings.Cut(text, ":")
		wishes = append(wishes, app.RoleWish{Role: app.Role(role), NodeCode: node})
	}
	if form.Node != "" {
		wishes = append(wishes, app.RoleWish{Role: app.RoleBudgetOwner, NodeCode: form.Node})
	}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskRoles(member, wishes, form.Reason), "")
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.memberPage(v, status, form, memberForm{})
	}
	return v.proposed(made, err, "/members/"+member.String())
}

// proposed leads to a change that waits for a decision, or to where it shows that it was
// applied at once.
func (v *visit) proposed(made app.ChangeView, err error, applied string) error {
	if err != nil {
		return err
	}
	if made.Open() {
		return v.Redirect(http.StatusSeeOther, "/changes/"+made.ID.String())
	}
	return v.Redirect(http.StatusSeeOther, applied)
}

// retold says whether a failure is told on the form's own page, and with which status.
func retold(err error) (int, *fault.Fault) {
	kind := fault.KindOf(err)
	if err == nil || (kind != fault.KindInvalid && kind != fault.KindConflict) {
		return 0, nil
	}
	return statusOf(kind), fault.From(err)
}

func (w *Web) linkAccounts(v *visit) error {
	if !v.may("member", "propose") {
		return app.ErrNotAllowed
	}
	member, err := id.ParseMember(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	form := memberForm{Account: strings.TrimSpace(v.FormValue("account")), Reason: v.FormValue("reason")}
	ctx := v.Request().Context()
	other, err := w.areas.Members.AccountOf(ctx, v.who, member, form.Account)
	if err == nil {
		err = w.areas.Members.LinkAccounts(ctx, v.who, member, other, form.Reason)
	}
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.memberPage(v, status, memberForm{}, form)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/members/"+member.String())
}

type suspendView struct {
	Frame  ui.Frame
	Story  app.MemberStory
	Reason string
	trouble
}

// confirmSuspend restates what will end, or begin again, before it does.
func (w *Web) confirmSuspend(v *visit) error { return w.suspendPage(v, http.StatusOK, "", trouble{}) }

func (w *Web) suspendPage(v *visit, status int, reason string, t trouble) error {
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
	view := &suspendView{Frame: v.frame("Suspend a member"), Story: story, Reason: reason, trouble: t}
	if story.Member.State() == app.MemberSuspended {
		view.Frame.Title = "Resume a member"
	}
	return render(v, status, suspendPage(view))
}

func (w *Web) suspend(v *visit) error {
	return w.setState(v, func(member id.Member, reason string) error {
		_, err := w.areas.Members.Suspend(v.Request().Context(), v.who, member, reason)
		return err
	})
}

func (w *Web) resume(v *visit) error {
	return w.setState(v, func(member id.Member, reason string) error {
		return w.areas.Members.Resume(v.Request().Context(), v.who, member, reason)
	})
}

func (w *Web) setState(v *visit, set func(id.Member, string) error) error {
	if !v.may("member", "propose") {
		return app.ErrNotAllowed
	}
	member, err := id.ParseMember(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	reason := v.FormValue("reason")
	err = set(member, reason)
	if status, f := retold(err); status != 0 {
		return w.suspendPage(v, status, reason, trouble{f.Message, f.Field})
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/members/"+member.String())
}

type peopleChangeView struct {
	Frame  ui.Frame
	Change app.PeopleChange
}

func (w *Web) showPeopleChange(v *visit) error {
	change, err := id.ParseChange(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	found, err := w.areas.Members.Change(v.Request().Context(), v.who, change)
	if err != nil {
		return err
	}
	return render(v, http.StatusOK, peopleChangePage(&peopleChangeView{Frame: v.frame(changeNumber(found.Number)), Change: found}))
}
