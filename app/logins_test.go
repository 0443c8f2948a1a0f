package app_test

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// atBrowser admits somebody and signs them in: an actor in a session.
func (h *house) atBrowser(t *testing.T, c *company, role app.Role, node, name string) app.Actor {
	t.Helper()
	want := app.NewMember{Issuer: "https://idp.test", Subject: c.slug + name, Name: name, Email: name + "@" + c.slug + ".test", Role: role, NodeCode: node}
	_, err := h.members.Add(t.Context(), c.who, want, "fixture")
	require.NoError(t, err)
	cookie, err := h.signIns.Accept(t.Context(), c.tenant, app.Claims{Issuer: want.Issuer, Subject: want.Subject, SignedInAt: h.clock.now()})
	require.NoError(t, err)
	who, err := h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
	return who
}

func (h *house) grant(t *testing.T, c *company, email, node string) id.Right {
	t.Helper()
	right, err := h.rights.Grant(t.Context(), c.who, app.NewRight{Email: email, Node: node}, "fixture")
	require.NoError(t, err)
	return right
}

const verifier = "a-verifier-of-at-least-forty-three-characters-0"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// login takes somebody through the loopback way.
func (h *house) login(t *testing.T, who app.Actor, node string) app.Issued {
	t.Helper()
	code, err := h.logins.Allow(t.Context(), who, app.Loopback{Challenge: challenge(), Client: "laptop", CostCenter: node})
	require.NoError(t, err)
	issued, err := h.logins.Redeem(t.Context(), code, verifier)
	require.NoError(t, err)
	return issued
}

// accepted finds a credential in a fresh snapshot, as a gateway does.
func (h *house) accepted(t *testing.T, slug string, plain secret.Text) (*app.SnapshotKey, bool) {
	t.Helper()
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	return h.snapshots.Find(h.snapshots.Current().Tenants[slug], plain.Reveal())
}

func TestALoginIsThePersonsAndChargesOneCostCenter(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada")
	_, err := h.logins.Offer(t.Context(), ada)
	require.Equal(t, "charge_nothing", fault.From(err).Code, "nobody charges anything until somebody says so")
	h.grant(t, h.one, "ADA@one.test ", "BU-1")
	choices, err := h.logins.Choices(t.Context(), ada)
	require.NoError(t, err)
	var codes []string
	for _, c := range choices {
		codes = append(codes, c.Code)
	}
	require.ElementsMatch(t, []string{"CC-1", "P-1", "CC-2"}, codes, "the node and what is below it, but units")

	for _, code := range []string{"CC-3", "BU-1", "SUSPENSE", "nobody", ""} {
		_, err = h.logins.Allow(t.Context(), ada, app.Loopback{Challenge: challenge(), CostCenter: code})
		require.Equal(t, "cost_center_absent", fault.From(err).Code, code)
	}
	issued := h.login(t, ada, "CC-1")
	require.Equal(t, "CC-1", issued.CostCenter)
	require.Equal(t, "ada", issued.Person)
	require.True(t, strings.HasPrefix(issued.Secret.Reveal(), "tbk_"))
	require.WithinDuration(t, h.clock.now().Add(time.Hour), issued.ExpiresAt, time.Minute)
	require.WithinDuration(t, h.clock.now().Add(8*time.Hour), issued.LoginEndsAt, time.Minute)
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "login.began"))
	for _, table := range h.tables(t) {
		all := h.text(t, `select string_agg(r::text, '') from `+table+` r`)
		for _, secret := range []secret.Text{issued.Secret, issued.Refresh} {
			require.NotContains(t, all, secret.Reveal(), table)
		}
		require.NotContains(t, all, "ada@one.test", table)
	}

	key, ok := h.accepted(t, "one", issued.Secret)
	require.True(t, ok)
	require.Equal(t, ada.Developer, key.Developer, "who declares and who signs in is one developer")
	require.Equal(t, "ada@one.test", app.NewLabels(h.ring).Open(key.Developer, key.Label))
	require.Equal(t, "CC-1", key.Answer.Code)
	_, ok = h.accepted(t, "two", issued.Secret)
	require.False(t, ok)

	// Everybody who charges CC-1 does so under one key, which nobody holds.
	bo := h.atBrowser(t, h.one, app.RoleBudgetOwner, "BU-1", "bo")
	other := h.login(t, bo, "CC-1")
	second, ok := h.accepted(t, "one", other.Secret)
	require.True(t, ok)
	require.Equal(t, key.ID, second.ID)
	require.NotEqual(t, key.Developer, second.Developer)
	view, err := h.keys.Find(t.Context(), h.one.who, key.ID)
	require.NoError(t, err)
	require.True(t, view.SignIn)
	require.Equal(t, "Signed-in developers, CC-1", view.Label)
	require.Equal(t, "key_of_sign_ins", fault.From(h.keys.Revoke(t.Context(), h.one.who, key.ID, "x")).Code)
	_, err = h.keys.RotateOnce(t.Context(), h.one.who, app.Rotation{Key: key.ID}, "x", "")
	require.Equal(t, "key_of_sign_ins", fault.From(err).Code)
}

func TestALoginIsRefreshedSwitchedAndEnded(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada")
	h.grant(t, h.one, app.Everybody, "BU-1")
	first := h.login(t, ada, "CC-1")
	switched, err := h.logins.Switch(t.Context(), first.Refresh, "CC-2")
	require.NoError(t, err)
	require.Equal(t, []string{"CC-1", "CC-2"}, []string{switched.WasCharging, switched.CostCenter})
	key, ok := h.accepted(t, "one", first.Secret)
	require.True(t, ok)
	require.Equal(t, "CC-2", key.Answer.Code, "the credential stays, what it charges changes")
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "login.switched"))
	_, err = h.logins.Switch(t.Context(), first.Refresh, "CC-2")
	require.NoError(t, err)
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "login.switched"), "to what it is already is no switch")
	_, err = h.logins.Switch(t.Context(), first.Refresh, "CC-3")
	require.Equal(t, "cost_center_absent", fault.From(err).Code)

	h.clock.add(50 * time.Minute)
	second, err := h.logins.Refresh(t.Context(), first.Refresh)
	require.NoError(t, err)
	require.Equal(t, "CC-2", second.CostCenter)
	for _, plain := range []secret.Text{first.Secret, second.Secret} {
		_, ok = h.accepted(t, "one", plain)
		require.True(t, ok, "the one before goes on for its hour")
	}
	h.clock.add(15 * time.Minute)
	_, ok = h.accepted(t, "one", first.Secret)
	require.False(t, ok)
	_, ok = h.accepted(t, "one", second.Secret)
	require.True(t, ok)

	status, err := h.logins.Status(t.Context(), first.Refresh)
	require.NoError(t, err)
	require.Equal(t, "CC-2", status.CostCenter)
	require.Len(t, status.MayCharge, 3)
	require.True(t, status.Secret.IsZero())

	for range 7 {
		_, err = h.logins.Refresh(t.Context(), first.Refresh)
		require.NoError(t, err)
	}
	_, err = h.logins.Refresh(t.Context(), first.Refresh)
	require.Equal(t, "credentials_many", fault.From(err).Code)

	// No refresh outlives the session the login was allowed in.
	h.clock.add(8*time.Hour - 66*time.Minute)
	last, err := h.logins.Refresh(t.Context(), first.Refresh)
	require.NoError(t, err)
	require.Equal(t, first.LoginEndsAt, last.ExpiresAt)
	h.clock.add(2 * time.Minute)
	_, err = h.logins.Refresh(t.Context(), first.Refresh)
	require.ErrorIs(t, err, app.ErrLogin)
	_, ok = h.accepted(t, "one", last.Secret)
	require.False(t, ok)

	again := h.login(t, h.atBrowser(t, h.one, app.RoleDeveloper, "", "bo"), "CC-1")
	require.NoError(t, h.logins.End(t.Context(), again.Refresh))
	require.ErrorIs(t, h.logins.End(t.Context(), again.Refresh), app.ErrLogin)
	_, ok = h.accepted(t, "one", again.Secret)
	require.False(t, ok)
}

func TestALoginEndsWithTheRightAndWithTheMember(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada, bo := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada"), h.atBrowser(t, h.one, app.RoleDeveloper, "", "bo")
	right := h.grant(t, h.one, "ada@one.test", "CC-1")
	h.grant(t, h.one, "bo@one.test", "CC-1")
	hers, his := h.login(t, ada, "CC-1"), h.login(t, bo, "CC-1")
	require.NoError(t, h.rights.End(t.Context(), h.one.who, right, "moved on"))
	_, ok := h.accepted(t, "one", hers.Secret)
	require.False(t, ok, "at every gateway's next load")
	_, err := h.logins.Refresh(t.Context(), hers.Refresh)
	require.Equal(t, "charge_ended", fault.From(err).Code)
	_, ok = h.accepted(t, "one", his.Secret)
	require.True(t, ok)
	require.ErrorIs(t, h.rights.End(t.Context(), h.one.who, right, "again"), db.ErrRightAbsent)

	// Who may charge it by another right goes on with the credential they have.
	everybody := h.grant(t, h.one, app.Everybody, "CC-1")
	require.NoError(t, h.rights.End(t.Context(), h.one.who, everybody, "a short while"))
	_, ok = h.accepted(t, "one", his.Secret)
	require.True(t, ok)

	// A budget owner's right is the role.
	lead := h.atBrowser(t, h.one, app.RoleBudgetOwner, "CC-3", "lead")
	theirs := h.login(t, lead, "CC-3")
	_, ok = h.accepted(t, "one", theirs.Secret)
	require.True(t, ok)
	require.NoError(t, h.carries(t, h.one.who, app.AskRoles(lead.Member, []app.RoleWish{{Role: app.RoleAnalyst}}, "moved on")))
	_, ok = h.accepted(t, "one", theirs.Secret)
	require.False(t, ok)
	_, err = h.logins.Refresh(t.Context(), theirs.Refresh)
	require.Equal(t, "charge_ended", fault.From(err).Code)

	// Suspended, with a second account, a device that was allowed and not fetched yet, and a code.
	owner := h.owner(t, h.one)
	second := h.atBrowser(t, h.one, app.RoleDeveloper, "", "bo-2")
	h.grant(t, h.one, "bo-2@one.test", "CC-1")
	other := h.login(t, second, "CC-1")
	require.NoError(t, h.members.LinkAccounts(t.Context(), owner, bo.Member, second.Member, "one person"))
	device, err := h.logins.AskDevice(t.Context(), h.one.tenant, "build box", "")
	require.NoError(t, err)
	require.NoError(t, h.logins.AllowDevice(t.Context(), bo, device.UserCode, "CC-1"))
	code, err := h.logins.Allow(t.Context(), bo, app.Loopback{Challenge: challenge(), CostCenter: "CC-1"})
	require.NoError(t, err)
	done, err := h.members.Suspend(t.Context(), owner, second.Member, "left the company")
	require.NoError(t, err)
	require.EqualValues(t, 2, done.Logins)
	over := func(why string) {
		t.Helper()
		for _, issued := range []app.Issued{his, other} {
			_, ok := h.accepted(t, "one", issued.Secret)
			require.False(t, ok, why)
			_, err := h.logins.Refresh(t.Context(), issued.Refresh)
			require.ErrorIs(t, err, app.ErrLogin, why)
		}
		_, err := h.logins.Poll(t.Context(), device.Device)
		require.ErrorIs(t, err, app.ErrAskGone, why)
		_, err = h.logins.Redeem(t.Context(), code, verifier)
		require.ErrorIs(t, err, app.ErrGrant, why)
		_, err = h.logins.Allow(t.Context(), bo, app.Loopback{Challenge: challenge(), CostCenter: "CC-1"})
		require.ErrorIs(t, err, app.ErrSession, why)
	}
	over("suspended")
	require.NoError(t, h.members.Resume(t.Context(), owner, bo.Member, "came back"))
	over("what was before a suspension stays ended")
	back := h.login(t, h.session(t, h.one, "onebo"), "CC-1")
	_, ok = h.accepted(t, "one", back.Secret)
	require.True(t, ok)
	require.Len(t, h.text(t, `select string_agg(login_id::text, '') from login l where tenant_id = $1 and member_id = $2
		and not exists (select from login_end e where e.tenant_id = l.tenant_id and e.login_id = l.login_id)`, h.one.tenant, bo.Member), 36, "one live login")
}

// TestALoginThatMeetsASuspensionWaits holds people as a suspension does while a login
// begins and another is refreshed: neither outlives it.
func TestALoginThatMeetsASuspensionWaits(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada")
	h.grant(t, h.one, app.Everybody, "CC-1")
	live := h.login(t, ada, "CC-1")
	code, err := h.logins.Allow(t.Context(), ada, app.Loopback{Challenge: challenge(), CostCenter: "CC-1"})
	require.NoError(t, err)
	suspending, err := h.admin.Begin()
	require.NoError(t, err)
	defer suspending.Rollback() //nolint:errcheck // committed below
	_, err = suspending.Exec(`select pg_advisory_xact_lock(hashtextextended('people:' || $1, 0))`, h.one.tenant.UUID())
	require.NoError(t, err)
	began, refreshed := make(chan error, 1), make(chan error, 1)
	go func() { _, err := h.logins.Redeem(t.Context(), code, verifier); began <- err }()
	go func() { _, err := h.logins.Refresh(t.Context(), live.Refresh); refreshed <- err }()
	require.Eventually(t, func() bool {
		return h.number(t, `select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory' and query like '%people:%'`) == 2
	}, 10*time.Second, time.Millisecond)
	_, err = suspending.Exec(`update member set suspended_at = now() where tenant_id = $1 and member_id = $2`, h.one.tenant, ada.Member)
	require.NoError(t, err)
	require.NoError(t, suspending.Commit())
	require.ErrorIs(t, <-began, app.ErrGrant)
	require.ErrorIs(t, <-refreshed, app.ErrLogin)
}

func TestADeviceIsLetInWithItsCodeOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada")
	h.grant(t, h.one, app.Everybody, "CC-1")
	stranger := h.atBrowser(t, h.two, app.RoleDeveloper, "", "eve")
	h.grant(t, h.two, app.Everybody, "CC-1")
	ask, err := h.logins.AskDevice(t.Context(), h.one.tenant, " build box ", "CC-1")
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(`^[B-Z]{4}-[B-Z]{4}$`), ask.UserCode)
	require.NotContains(t, h.text(t, `select string_agg(r::text, '') from login_ask r`), strings.ReplaceAll(ask.UserCode, "-", ""))

	_, err = h.logins.Poll(t.Context(), ask.Device)
	require.ErrorIs(t, err, app.ErrPending)
	_, err = h.logins.Poll(t.Context(), ask.Device)
	require.ErrorIs(t, err, app.ErrSlowDown)
	_, err = h.logins.FindAsk(t.Context(), stranger, ask.UserCode)
	require.ErrorIs(t, err, app.ErrUserCode, "a code of another company is no code")
	view, err := h.logins.FindAsk(t.Context(), ada, " "+strings.ToLower(ask.UserCode))
	require.NoError(t, err)
	require.Equal(t, []string{"build box", "CC-1"}, []string{view.Client, view.CostCenter})
	require.NoError(t, h.logins.AllowDevice(t.Context(), ada, ask.UserCode, "CC-1"))
	require.ErrorIs(t, h.logins.AllowDevice(t.Context(), ada, ask.UserCode, "CC-1"), app.ErrUserCode, "decided once")
	issued, err := h.logins.Poll(t.Context(), ask.Device)
	require.NoError(t, err)
	_, ok := h.accepted(t, "one", issued.Secret)
	require.True(t, ok)
	_, err = h.logins.Poll(t.Context(), ask.Device)
	require.ErrorIs(t, err, app.ErrAskGone, "used up")

	denied, err := h.logins.AskDevice(t.Context(), h.one.tenant, "", "")
	require.NoError(t, err)
	require.NoError(t, h.logins.DenyDevice(t.Context(), ada, denied.UserCode))
	_, err = h.logins.Poll(t.Context(), denied.Device)
	require.ErrorIs(t, err, app.ErrDenied)

	late, err := h.logins.AskDevice(t.Context(), h.one.tenant, "", "")
	require.NoError(t, err)
	h.clock.add(11 * time.Minute)
	_, err = h.logins.FindAsk(t.Context(), ada, late.UserCode)
	require.ErrorIs(t, err, app.ErrUserCode)
	_, err = h.logins.Poll(t.Context(), late.Device)
	require.ErrorIs(t, err, app.ErrAskGone)
}

func TestACodeIsGoodOnceSoonAndForItsMaker(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada")
	h.grant(t, h.one, app.Everybody, "CC-1")
	allow := func() secret.Text {
		code, err := h.logins.Allow(t.Context(), ada, app.Loopback{Challenge: challenge(), CostCenter: "CC-1"})
		require.NoError(t, err)
		return code
	}
	refuse := func(code secret.Text, proof string) {
		t.Helper()
		_, err := h.logins.Redeem(t.Context(), code, proof)
		require.ErrorIs(t, err, app.ErrGrant)
	}
	code := allow()
	refuse(code, "somebody-else")
	refuse(secret.NewText(code.Reveal()+"x"), verifier)
	refuse(secret.NewText("nonsense"), verifier)
	refuse(secret.NewText(strings.Replace(code.Reveal(), h.one.tenant.String(), h.two.tenant.String(), 1)), verifier)
	_, err := h.logins.Redeem(t.Context(), code, verifier)
	require.NoError(t, err)
	refuse(code, verifier)
	late := allow()
	h.clock.add(2 * time.Minute)
	refuse(late, verifier)
	gone := allow()
	_, err = h.members.Suspend(t.Context(), h.owner(t, h.one), ada.Member, "left the company")
	require.NoError(t, err)
	refuse(gone, verifier)

	_, err = h.logins.Allow(t.Context(), ada, app.Loopback{Challenge: "short", CostCenter: "CC-1"})
	require.Equal(t, "challenge_syntax", fault.From(err).Code)
	for _, role := range []app.Role{app.RoleAuditor} {
		_, err = h.logins.Offer(t.Context(), h.atBrowser(t, h.one, role, "", "aud"))
		require.ErrorIs(t, err, app.ErrNotAllowed)
	}
	_, err = h.logins.Offer(t.Context(), h.member(t, h.one, app.RoleDeveloper, ""))
	require.ErrorIs(t, err, app.ErrNotAllowed, "a token is nobody at a browser")
}

func TestRightsAndLoginsAreListedToWhomTheyConcern(t *testing.T) {
	t.Parallel()
	h := build(t)
	ada, admin := h.atBrowser(t, h.one, app.RoleDeveloper, "", "ada"), h.atBrowser(t, h.one, app.RoleEngineeringAdmin, "", "sofia")
	h.grant(t, h.one, "ada@one.test", "CC-1")
	everybody := h.grant(t, h.two, app.Everybody, "CC-1")
	hers := h.login(t, ada, "CC-1")
	theirs := h.login(t, h.atBrowser(t, h.two, app.RoleDeveloper, "", "eve"), "CC-1")

	rights, err := h.rights.List(t.Context(), admin)
	require.NoError(t, err)
	require.Len(t, rights, 1)
	require.Equal(t, []string{"ada", "CC-1"}, []string{rights[0].Name, rights[0].Code})
	_, err = h.rights.List(t.Context(), ada)
	require.ErrorIs(t, err, app.ErrNotAllowed)
	require.ErrorIs(t, h.rights.End(t.Context(), admin, everybody, "not mine"), db.ErrRightAbsent)
	for code, want := range map[string]app.NewRight{
		"email_absent": {Email: "eve@two.test", Node: "CC-1"}, "node_absent": {Email: app.Everybody, Node: "nobody"}, "right_there": {Email: "ada@one.test", Node: "CC-1"},
	} {
		_, err = h.rights.Grant(t.Context(), admin, want, "x")
		require.Equal(t, code, fault.From(err).Code)
	}
	_, err = h.rights.Grant(t.Context(), ada, app.NewRight{Email: app.Everybody, Node: "BU-1"}, "help myself")
	require.ErrorIs(t, err, app.ErrNotAllowed)

	for _, who := range []app.Actor{ada, admin} {
		list, err := h.logins.List(t.Context(), who)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, hers.Login, list[0].ID)
		require.Equal(t, who.Member == ada.Member, list[0].Own)
	}
	for _, who := range []app.Actor{ada, admin} {
		require.ErrorIs(t, h.logins.EndOne(t.Context(), who, theirs.Login), app.ErrLoginAbsent)
	}
	require.ErrorIs(t, h.logins.EndOne(t.Context(), h.atBrowser(t, h.one, app.RoleDeveloper, "", "bo"), hers.Login), app.ErrLoginAbsent)
	require.NoError(t, h.logins.EndOne(t.Context(), admin, hers.Login))
	_, ok := h.accepted(t, "one", hers.Secret)
	require.False(t, ok)

	// Of too many logins the oldest end.
	var all []app.Issued
	for range 22 {
		all = append(all, h.login(t, ada, "CC-1"))
	}
	_, err = h.logins.Status(t.Context(), all[1].Refresh)
	require.ErrorIs(t, err, app.ErrLogin)
	_, err = h.logins.Status(t.Context(), all[2].Refresh)
	require.NoError(t, err)
}
