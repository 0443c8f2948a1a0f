package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/commentary"
)

// notebook is an office with two owners of budgets, asked about October.
type notebook struct {
	*office

	owner, other, auditor app.Actor
}

func openNotebook(t *testing.T) *notebook {
	t.Helper()
	n := &notebook{office: openOffice(t)}
	n.owner, n.other = n.reader(t, n.one, app.RoleBudgetOwner, "marcus"), n.personAt(t, n.one, app.RoleBudgetOwner, "olga", "BU-2")
	n.auditor = n.person(t, n.one, app.RoleAuditor, "auditor")
	n.take(t, "notify_change")
	return n
}

func low() commentary.Threshold { return commentary.Threshold{Above: 1, Percent: 1} }

func (n *notebook) month(t testing.TB, who app.Actor, state string) app.CommentaryMonth {
	t.Helper()
	m, err := n.notes.Month(t.Context(), who, app.CommentaryQuery{Month: n.october, State: state, Threshold: low()})
	require.NoError(t, err)
	return m
}

func codesIn(m app.CommentaryMonth) string {
	var codes []string
	for i := range m.Rows {
		codes = append(codes, m.Rows[i].Code)
	}
	return strings.Join(codes, " ")
}

func (n *notebook) node(t testing.TB, who app.Actor, code string) app.CommentaryCase {
	t.Helper()
	c, err := n.notes.Node(t.Context(), who, n.october, code, low())
	require.NoError(t, err)
	return c
}

func (n *notebook) writes(t testing.TB, who app.Actor, code, text string) error {
	t.Helper()
	return n.notes.Write(t.Context(), who, app.NewCommentary{Month: n.october, Node: code, Text: text, Seen: n.node(t, n.fin, code).Digest})
}

func (n *notebook) reviews(t testing.TB, who app.Actor, code string, kind commentary.Kind, note string) error {
	t.Helper()
	return n.notes.Review(t.Context(), who, app.CommentaryReview{Month: n.october, Node: code, Kind: kind, Note: note})
}

func TestOwnersAreAskedOnceAndAnswerForTheirSubtree(t *testing.T) {
	t.Parallel()
	n := openNotebook(t)
	require.Equal(t, "BU-1 CC-1 CC-2 BU-2 CC-3", codesIn(n.month(t, n.fin, "")))
	require.Equal(t, "BU-1 CC-1 CC-2", codesIn(n.month(t, n.owner, "")), "an owner sees their part")
	asked, err := n.notes.Ask(t.Context(), n.fin, app.CommentaryAsk{Month: n.october, Kind: commentary.Asked, Threshold: low(), Note: "by Friday"})
	require.NoError(t, err)
	require.Equal(t, app.CommentaryAsked{Nodes: 5, Owners: 2}, asked)
	require.Equal(t, []string{"requested Marcus"}, n.mails(t), "one mail for three nodes; the other has no address")
	_, err = n.notes.Ask(t.Context(), n.fin, app.CommentaryAsk{Month: n.october, Kind: commentary.Asked, Threshold: low()})
	require.Equal(t, "commentary_nobody", codeOf(err))
	_, err = n.notes.Ask(t.Context(), n.fin, app.CommentaryAsk{Month: n.october, Kind: commentary.Reminded, Threshold: low()})
	require.Equal(t, "commentary_nobody", codeOf(err), "they were asked today")
	n.clock.add(24 * time.Hour)
	asked, err = n.notes.Ask(t.Context(), n.fin, app.CommentaryAsk{Month: n.october, Kind: commentary.Reminded, Node: "CC-1"})
	require.NoError(t, err)
	require.Equal(t, app.CommentaryAsked{Nodes: 1, Owners: 1}, asked)
	_, err = n.notes.Ask(t.Context(), n.fin, app.CommentaryAsk{Month: n.october, Kind: commentary.Reminded, Node: "CC-2"})
	require.Equal(t, "commentary_reminded", codeOf(err), "whoever was reminded today is not again, of whatever node")
	require.Equal(t, []string{"recalled Marcus"}, n.mails(t))

	require.NoError(t, n.writes(t, n.owner, "CC-1", "The new team began."))
	require.Equal(t, "commentary_absent", codeOf(n.writes(t, n.other, "CC-1", "not mine")))
	_, err = n.notes.Node(t.Context(), n.other, n.october, "CC-1", low())
	require.Equal(t, "commentary_absent", codeOf(err), "not yours and not there look the same")
	require.Equal(t, "maker_is_checker", codeOf(func() error {
		require.NoError(t, n.writes(t, n.fin, "CC-3", "Nobody answered."))
		return n.reviews(t, n.fin, "CC-3", commentary.Accepted, "")
	}()))
	require.NoError(t, n.reviews(t, n.cfo, "CC-3", commentary.Accepted, ""))
	require.NoError(t, n.reviews(t, n.fin, "CC-1", commentary.Returned, "Which team?"))
	require.Contains(t, n.mails(t), "requested Marcus")
	m := n.month(t, n.fin, "")
	require.Equal(t, commentary.Sum{Asked: 5, Owed: 4, Accepted: 1}, m.Sum)
	require.Equal(t, "CC-1", codesIn(n.month(t, n.fin, "returned")))
	require.Equal(t, "BU-1 CC-1 CC-2", codesIn(n.month(t, n.owner, "mine")))
	c := n.node(t, n.owner, "CC-1")
	require.Equal(t, []commentary.Kind{commentary.Asked, commentary.Reminded, commentary.Written, commentary.Returned}, []commentary.Kind{c.Steps[0].Kind, c.Steps[1].Kind, c.Steps[2].Kind, c.Steps[3].Kind})
	require.True(t, c.CanWrite)
	require.False(t, c.CanAccept || c.CanRemind)
	require.Zero(t, n.number(t, `select count(*) from commentary_step where tenant_id = $1`, n.two.tenant))
	_, err = n.notes.Node(t.Context(), n.person(t, n.two, app.RoleFinanceAdmin, "their-fin"), n.october, "CC-1", low())
	require.NoError(t, err, "their own node of that code")
}

func TestATextIsAboutItsFigures(t *testing.T) {
	t.Parallel()
	n := openNotebook(t)
	c := n.node(t, n.owner, "CC-1")
	sum := n.chargeback(t, n.one.who, n.october, "node")
	r := row(t, sum, "CC-1")
	require.Equal(t, r.Actual.String(), c.Figures.Actual.String(), "what the chargeback says")
	require.NoError(t, n.writes(t, n.owner, "CC-1", "As planned."))
	n.flush(t, n.one, n.one.event(in(n.october, 7), "CC-1", costs(7)))
	require.True(t, n.node(t, n.owner, "CC-1").Stale)
	require.Equal(t, "CC-1", codesIn(n.month(t, n.fin, "stale")))
	require.Equal(t, "commentary_stale", codeOf(n.reviews(t, n.fin, "CC-1", commentary.Accepted, "")))
	require.Equal(t, "commentary_figures", codeOf(n.notes.Write(t.Context(), n.owner, app.NewCommentary{Month: n.october, Node: "CC-1", Text: "late", Seen: c.Digest})))
	require.NoError(t, n.writes(t, n.owner, "CC-1", "One late request."))
	c = n.node(t, n.owner, "CC-1")
	require.False(t, c.Stale)
	require.Equal(t, 2, c.Standing.Revision)
	require.Equal(t, "As planned.", c.Steps[0].Body, "the first revision stays")
	require.NotEqual(t, c.Steps[0].Figures.Actual.String(), c.Figures.Actual.String())
	require.NoError(t, n.reviews(t, n.cfo, "CC-1", commentary.Accepted, ""))
}

func TestWhoTakesPartInCommentary(t *testing.T) {
	t.Parallel()
	n := openNotebook(t)
	ask := app.CommentaryAsk{Month: n.october, Kind: commentary.Asked, Node: "CC-1"}
	for role, may := range map[app.Role]struct{ read, write, ask bool }{
		app.RoleFinanceAdmin: {true, true, true}, app.RoleAnalyst: {true, true, true}, app.RoleController: {true, false, true},
		app.RoleBudgetOwner: {true, true, false}, app.RoleAuditor: {true, false, false}, app.RoleTenantOwner: {true, false, false},
		app.RoleEngineeringAdmin: {}, app.RoleDeveloper: {},
	} {
		node := ""
		if role == app.RoleBudgetOwner {
			node = "BU-1"
		}
		who := n.personAt(t, n.one, role, "x-"+string(role), node)
		_, err := n.notes.Month(t.Context(), who, app.CommentaryQuery{Month: n.october, Threshold: low()})
		require.Equal(t, may.read, err == nil, role)
		c := n.node(t, n.fin, "CC-2")
		err = n.notes.Write(t.Context(), who, app.NewCommentary{Month: n.october, Node: "CC-2", Text: "words", Seen: c.Digest})
		require.Equal(t, may.write, err == nil, "%s: %v", role, err)
		_, err = n.notes.Ask(t.Context(), who, ask)
		require.Equal(t, may.ask, codeOf(err) != "not_allowed", "%s: %v", role, err)
	}
	token := n.member(t, n.one, app.RoleFinanceAdmin, "")
	require.Equal(t, "tokens_never_decide", codeOf(n.notes.Write(t.Context(), token, app.NewCommentary{Month: n.october, Node: "CC-2", Text: "x"})))
	_, err := n.notes.Ask(t.Context(), token, ask)
	require.Equal(t, "tokens_never_decide", codeOf(err))
	require.Equal(t, "tokens_never_decide", codeOf(n.reviews(t, token, "CC-2", commentary.Accepted, "")))
}

func TestWhenNothingIsWritten(t *testing.T) {
	t.Parallel()
	n := openNotebook(t)
	november := n.october.Next()
	n.flush(t, n.one, n.one.event(in(november, 2), "CC-1", costs(100_000)))
	_, err := n.notes.Ask(t.Context(), n.fin, app.CommentaryAsk{Month: november, Kind: commentary.Asked, Node: "CC-1"})
	require.Equal(t, "commentary_early", codeOf(err))
	_, err = n.notes.Ask(t.Context(), n.fin, app.CommentaryAsk{Month: n.october, Kind: commentary.Asked, Node: "P-1"})
	require.Equal(t, "commentary_absent", codeOf(err), "nothing moved there, and nothing is planned")
	require.NoError(t, n.writes(t, n.owner, "CC-1", "Before it closes."))
	n.lock(t, n.one, n.october)
	require.Equal(t, "period_closed", codeOf(n.writes(t, n.owner, "CC-1", "After.")))
	require.Equal(t, "period_closed", codeOf(n.reviews(t, n.fin, "CC-1", commentary.Accepted, "")))
	require.Equal(t, "Before it closes.", n.node(t, n.auditor, "CC-1").Standing.Text)
}

func TestNobodyIsAskedAboutWhatNobodyOwns(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	_, err := o.notes.Ask(t.Context(), o.fin, app.CommentaryAsk{Month: o.october, Kind: commentary.Asked, Node: "CC-1"})
	require.Equal(t, "commentary_unowned", codeOf(err))
	_, err = o.notes.Ask(t.Context(), o.fin, app.CommentaryAsk{Month: o.october, Kind: commentary.Asked, Threshold: low()})
	require.Equal(t, "commentary_nobody", codeOf(err))
	_, err = o.notes.Ask(t.Context(), o.fin, app.CommentaryAsk{Month: o.october, Kind: commentary.Written, Node: "CC-1"})
	require.Equal(t, "commentary_step_unknown", codeOf(err))
	_, err = o.notes.Month(t.Context(), o.fin, app.CommentaryQuery{Month: o.october, State: "shelved", Threshold: low()})
	require.Equal(t, "commentary_state_unknown", codeOf(err))
}

// TestWhoIsAskedIsLedToThePage: a letter says what is asked and leads there, and is not sent once
// it was answered.
func TestWhoIsAskedIsLedToThePage(t *testing.T) {
	t.Parallel()
	n := openNotebook(t)
	ask := func(code string) {
		_, err := n.notes.Ask(t.Context(), n.fin, app.CommentaryAsk{Month: n.october, Kind: commentary.Asked, Node: code, Note: "by Friday"})
		require.NoError(t, err)
	}
	ask("CC-1")
	list := n.deliveries(t)
	require.Len(t, list, 1)
	letter := list[0].Mail
	require.Equal(t, []string{"the commentary on CC-1 for October 2026", "https://tollbook.test/t/one/commentary/2026-10/CC-1", "by Friday", "asked"}, []string{letter.About, letter.URL, letter.Reason, letter.Step})
	ask("CC-2")
	require.NoError(t, n.writes(t, n.owner, "CC-2", "Before the mail left."))
	require.Empty(t, n.mails(t), "it was answered meanwhile")
}
