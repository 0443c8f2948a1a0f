package web

import (
	"net/http"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/web/ui"
)

type groupsView struct {
	Frame     ui.Frame
	Rows      []app.MappingView
	MayChange bool
	Form      groupForm
}

// groupForm is what was filled in, and what was wrong with it.
type groupForm struct {
	trouble
	Issuer, Group, Role, Node, Reason string

	Issuers, Roles, Nodes []option
}

func (w *Web) showGroups(v *visit) error { return w.listGroups(v, http.StatusOK, groupForm{}) }

func (w *Web) listGroups(v *visit, status int, form groupForm) error {
	rows, err := w.areas.Members.Mappings(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := &groupsView{Frame: v.frame("Groups"), Rows: rows, MayChange: v.may("member", "propose"), Form: form}
	if view.MayChange {
		f := &view.Form
		f.Roles = roleOptions("Choose", app.Role(f.Role))
		if f.Issuers, err = w.issuerOptions(v, f.Issuer); err != nil {
			return err
		}
		if f.Nodes, err = w.nodeOptions(v, "The whole company", f.Node); err != nil {
			return err
		}
	}
	return render(v, status, groupsPage(view))
}

func (w *Web) mapGroup(v *visit) error {
	if !v.may("member", "propose") {
		return app.ErrNotAllowed
	}
	form := groupForm{Issuer: v.FormValue("issuer"), Group: v.FormValue("group"), Role: v.FormValue("role"), Node: v.FormValue("node"), Reason: v.FormValue("reason")}
	want := app.NewMapping{Group: form.Group, Role: app.Role(form.Role), NodeCode: form.Node}
	if issuer, err := id.ParseIssuer(form.Issuer); err == nil {
		want.Issuer = issuer
	}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskMapping(want, form.Reason), "")
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		f := fault.From(err)
		form.trouble = trouble{f.Message, f.Field}
		return w.listGroups(v, http.StatusUnprocessableEntity, form)
	}
	return v.proposed(made, err, "/members/groups")
}

func (w *Web) unmapGroup(v *visit) error {
	if !v.may("member", "propose") {
		return app.ErrNotAllowed
	}
	mapping, err := id.ParseVersion(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskMappingEnd(mapping, "ended on the page of groups"), "")
	if status, f := retold(err); status != 0 {
		return w.listGroups(v, status, groupForm{trouble: trouble{Alert: f.Message}})
	}
	return v.proposed(made, err, "/members/groups")
}
