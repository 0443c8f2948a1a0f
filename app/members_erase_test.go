package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/db"
)

// TestErasingAPersonMakesThemUnreadableAndNothingElse erases somebody of one company whose
// namesake works for the other.
func TestErasingAPersonMakesThemUnreadableAndNothingElse(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner, fin := h.owner(t, h.one), h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	ada, namesake := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada"), h.atBrowser(t, h.two, app.RoleDeveloper, "", "ada")
	h.grant(t, h.one, "ada@one.test", "CC-1")
	h.login(t, ada, "CC-1")
	h.flush(t, h.one, h.one.event(november(2), "CC-1", h.declared(t, h.one, "ada@one.test")), h.one.event(november(3), "CC-1", h.declared(t, h.one, "laptop-7")))
	h.flush(t, h.two, h.two.event(november(2), "CC-1", h.declared(t, h.two, "ada@two.test")))
	require.Equal(t, "ada@one.test", h.requests(t, fin, app.RequestFilter{})[1].Developer)
	ledger, theirs := h.ledger(t, h.one), h.peopleOf(t, h.two)
	require.EqualValues(t, 3, h.number(t, `select count(*) from keys.person_key where tenant_id = $1 and kind <> 'developer' and shard is not null and subject_id in
		(select $2::uuid union select login_id from login where member_id = $3)`, h.one.tenant, ada.Person, ada.Member), "name, address, and the login's label")

	_, err := h.approvals.Propose(t.Context(), owner, app.AskErasure(ada.Member, "asked for it"), "")
	require.Equal(t, "erasure_of_active", codeOf(err))
	_, err = h.members.Suspend(t.Context(), owner, ada.Member, "left")
	require.NoError(t, err)
	_, err = h.approvals.Propose(t.Context(), owner, app.AskErasure(owner.Member, "me"), "")
	require.Equal(t, "own_erasure", codeOf(err))
	_, err = h.approvals.Propose(t.Context(), owner, app.AskErasure(namesake.Member, "the other company's"), "")
	require.Equal(t, "member_absent", codeOf(err))
	_, err = h.approvals.Propose(t.Context(), fin, app.AskErasure(ada.Member, "not mine to"), "")
	require.Error(t, err)
	change := h.propose(t, owner, app.AskErasure(ada.Member, "asked for it"))
	require.True(t, change.Open())
	shown, err := h.approvals.Case(t.Context(), fin, change.ID)
	require.NoError(t, err)
	require.Contains(t, shown.Impact.Sentence, "ada can never be read again")
	require.NotRegexp(t, `(?i)\bada\b`, string(change.Payload)) // an id may have the letters
	require.Zero(t, h.number(t, `select count(*) from change_terms where tenant_id = $1 and position('ada ' in convert_from(impact, 'UTF8')) > 0`, h.one.tenant), "what is kept names nobody")
	_, err = h.approveChange(t, owner, change)
	require.Error(t, err, "two persons")
	twice := h.propose(t, owner, app.AskErasure(ada.Member, "again"))
	applied, err := h.approveChange(t, fin, change)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, applied.State)
	_, err = h.approveChange(t, fin, twice)
	require.Equal(t, "erasure_overtaken", codeOf(err))

	list := h.requests(t, fin, app.RequestFilter{})
	require.Equal(t, theirs, h.peopleOf(t, h.two))
	require.Equal(t, []string{"laptop-7", ""}, []string{list[0].Developer, list[1].Developer})
	require.Equal(t, ledger, h.ledger(t, h.one), "not a dollar moves")
	views, err := h.members.List(t.Context(), owner, app.MemberFilter{})
	require.NoError(t, err)
	found := false
	for _, v := range views.Rows {
		if v.ID == ada.Member {
			found = true
			require.Equal(t, []string{app.ErasedName, "", "erased"}, []string{v.Name, v.Email, v.Issuer})
		}
	}
	require.True(t, found)
	require.Zero(t, h.number(t, `select count(*) from keys.person_key where tenant_id = $1 and shard is not null and subject_id = $2`, h.one.tenant, ada.Person))
	require.EqualValues(t, 2, h.number(t, `select count(*) from keys.person_key where tenant_id = $1 and shard is not null and subject_id = $2`, h.two.tenant, namesake.Person))

	// Proofs go on, and who comes again brings no name back.
	h.place(t, h.one)
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	h.flush(t, h.one, h.one.event(november(4), "CC-1", h.declared(t, h.one, "ada@one.test")))
	require.Empty(t, h.requests(t, fin, app.RequestFilter{})[0].Developer)

	report, err := h.members.Erasure(t.Context(), owner, change.ID)
	require.NoError(t, err)
	require.Len(t, report.Parts, 2)
	require.Equal(t, "person", report.Parts[0].Kind)
	require.Equal(t, []int64{3, 1, 1}, []int64{report.Parts[0].Keys, report.Parts[0].Accounts, report.Parts[0].Sessions})
	require.Equal(t, h.developer(t, h.one, "ada@one.test").String(), report.Parts[1].Subject)
	require.NotEmpty(t, report.OutOfReach)
	_, err = h.members.Erasure(t.Context(), h.owner(t, h.two), change.ID)
	require.Equal(t, "erasure_absent", codeOf(err))
	_, err = h.members.Erasure(t.Context(), owner, id.Change{})
	require.Equal(t, "erasure_absent", codeOf(err))
}

// peopleOf prints everything that names people of a company.
func (h *house) peopleOf(t *testing.T, c *company) string {
	t.Helper()
	var text strings.Builder
	for _, table := range []string{"person", "member", "session", "login", "developer", "keys.person_key", "erasure"} {
		text.WriteString(h.text(t, `select coalesce(string_agg(r::text, E'\n' order by r::text), '') from `+table+` r where tenant_id = $1`, c.tenant))
	}
	return text.String()
}

// asApp runs a statement with the tenant as its parameter, as the role that runs.
func (h *house) asApp(t *testing.T, tenant id.Tenant, statement string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), h.clone.URL("tollbook_app"))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `select set_config('app.tenant_id', $1, false)`, tenant.UUID())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), statement, tenant.UUID())
	return err
}

// TestNobodyErasesPastAChange calls the owner's function as the role that runs.
func TestNobodyErasesPastAChange(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner, fin := h.owner(t, h.one), h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	h.flush(t, h.one, h.one.event(november(2), "CC-1", h.declared(t, h.one, "laptop-7")))
	developer := h.developer(t, h.one, "laptop-7")
	change := h.propose(t, owner, app.AskLabelErasure(developer, "a person's name"))
	other := h.propose(t, fin, discount(1000))
	_, err := h.approveChange(t, h.person(t, h.one, app.RoleController, "cfo"), other)
	require.NoError(t, err)
	try := func(tenant id.Tenant, change id.Change) error {
		return h.clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error { return tx.Erase(change) })
	}
	require.ErrorContains(t, try(h.one.tenant, change.ID), "TB004", "nobody has decided")
	require.ErrorContains(t, try(h.one.tenant, other.ID), "TB004", "of another kind")
	require.ErrorContains(t, try(h.one.tenant, id.NewChange(time.Now())), "TB004", "of none")
	require.ErrorContains(t, try(h.two.tenant, change.ID), "TB004", "of another company")
	require.EqualValues(t, 1, h.number(t, `select count(*) from keys.person_key where tenant_id = $1 and subject_id = $2 and shard is not null`, h.one.tenant, developer))
	_, err = h.approveChange(t, fin, change)
	require.NoError(t, err)
	require.ErrorContains(t, try(h.one.tenant, change.ID), "TB004", "twice")
	require.ErrorContains(t, try(h.two.tenant, change.ID), "TB004")
	for _, statement := range []string{
		`select erase_subject($1, 'person', $1, now())`, `update keys.person_key set shard = null, destroyed_at = now() where tenant_id = $1`, `delete from keys.person_key where tenant_id = $1`,
		`insert into erasure select tenant_id, change_id, 'person', change_id, '{}', now() from change where tenant_id = $1`,
	} {
		require.ErrorContains(t, h.asApp(t, h.one.tenant, statement), "42501", statement)
	}
	_, err = h.approvals.Propose(t.Context(), owner, app.AskLabelErasure(developer, "again"), "")
	require.Equal(t, "erased_already", codeOf(err))
}
