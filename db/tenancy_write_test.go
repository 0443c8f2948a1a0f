package db_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/pricing"
	"tollbook/app/usage"
	"tollbook/db"
	"tollbook/db/dbtest"
)

// writing is every query that writes, asked to touch or to name another tenant's rows.
func writing() map[string]query {
	all := writingApprovals()
	maps.Copy(all, writingNotices())
	maps.Copy(all, writingDecisions())
	maps.Copy(all, writingAdjustments())
	maps.Copy(all, writingRetention())
	maps.Copy(all, writingJournal())
	maps.Copy(all, writingPackets())
	maps.Copy(all, writingProvider())
	maps.Copy(all, writingExports())
	maps.Copy(all, writingInvoices())
	maps.Copy(all, writingReconciliation())
	maps.Copy(all, writingClosing())
	maps.Copy(all, writingDisputes())
	maps.Copy(all, map[string]query{
		"AddTenant":     {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.AddTenant(theirs.slug, "x")) }},
		"AddFounding":   {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.AddFounding(theirs.founding())) }},
		"LockFoundings": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockFoundings()) }},
		"UseSignUp":     {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.UseSignUp(id.NewSignUp(tx.Now)) }},
		"AddChange": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			change := theirs.change
			change.Number = 99
			return onlyError(tx.AddChange(change)) // the same id is another change here
		}},
		"AddChangeMove": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddChangeMove(theirs.change.ID, 1, "approved", "x", theirs.change.Digest))
		}},
		"StoreAudit": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.StoreAudit(auditlog.Record{ID: id.NewRecord(tx.Now), Tenant: theirs.tenant, Action: "x", Actor: "x"}))
		}},
		"AppendAudit": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AppendAudit(auditlog.Record{ID: theirs.batch.Record, Tenant: theirs.tenant, Action: "x", Actor: "x"}))
		}},
		"AddLogKey": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, err := tx.AddLogKey(theirs.mark("log key"), nil)
			return nil, err
		}},
		"EndLogKey": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.EndLogKey(theirs.mark("log key"), 1))
		}},
		"AddWitness": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddWitness(db.WitnessRow{Witness: theirs.mark("witness"), Kind: "log", Size: 1, Reason: "away"}))
		}},
		"AddLogCheck": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.AddLogCheck(theirs.batch.Record)) }},
		"AddCheckpoint": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) {
			return onlyError(tx.AddCheckpoint(db.CheckpointRow{Size: 2, Root: make([]byte, 32), Message: []byte("x")}))
		}},
		"SequenceAudit": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.SequenceAudit() }},
		"Remember": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) {
			return onlyError(tx.Remember("actor", "new", []byte("d"), []byte("s")))
		}},
		"Counter": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.Counter("change") }},
		"Enqueue": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) {
			return onlyError(tx.Enqueue(job.ProveSums{Tenant: tx.Tenant.String()}))
		}},
		"AddView": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddView(id.NewView(tx.Now), theirs.member, "x", "x", mine.change.ID))
		}},
		"RemoveView": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.RemoveView(theirs.view, mine.change.ID))
		}},
		"DeclareTags": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.DeclareTags([]string{"x"}, theirs.change.ID))
		}},
		"LimitStatements": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LimitStatements(time.Minute)) }},
		"Notify":          {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { tx.Notify(); return nil, nil }},
		"SQL": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			var n int64
			err := tx.SQL().QueryRow(`select count(*) from usage_event where tenant_id = $1`, theirs.tenant).Scan(&n)
			return n, err
		}},
		"AddKey": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddKey(db.FreshKey{ID: id.NewKey(tx.Now), Label: "x", Hint: "x", Hash: theirs.hash("key")}, theirs.change.ID))
		}},
		"AddRight": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddRight(id.NewRight(tx.Now), mine.member, theirs.node, mine.change.ID))
		}},
		"TakeCredentials": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.TakeCredentials(theirs.login)) }},
		"EndRight": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.EndRight(theirs.right, mine.change.ID))
		}},
		"AddAsk": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddAsk(db.FreshAsk{ID: id.NewAsk(tx.Now), Challenge: "x", ExpiresAt: tx.Now, MemberID: theirs.member}))
		}},
		"AllowAsk": {harmless, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AllowAsk(theirs.device, mine.member, mine.node, tx.Now))
		}},
		"DenyAsk": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.DenyAsk(theirs.device)) }},
		"PollAsk": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.PollAsk(theirs.device)) }},
		"UseAsk":  {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.UseAsk(theirs.loopback)) }},
		"AddLogin": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			fresh := mine.fresh(theirs.member)
			fresh.ID = id.NewLogin(tx.Now)
			return onlyError(tx.AddLogin(fresh))
		}},
		"LockLogin": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.LockLogin(theirs.login)) }},
		"ChargeLogin": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.ChargeLogin(theirs.login, mine.node, mine.key))
		}},
		"EndLogins": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.EndLogins(theirs.member) }},
		"EndLogin":  {refused, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.EndLogin(theirs.login)) }},
		"AddCredential": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddCredential(id.NewVersion(tx.Now), theirs.login, theirs.hash("x"), tx.Now.Add(1)))
		}},
		"AddKeySecret": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddKeySecret(mine.secret(theirs.key), mine.change.ID))
		}},
		"LockKey": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.LockKey(theirs.key)) }},
		"AssignKey": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AssignKey(id.NewVersion(tx.Now), mine.key, theirs.node, nil, tx.Now, mine.change.ID))
		}},
		"RevokeKey": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.RevokeKey(theirs.key, "x", mine.change.ID))
		}},
		"LockNodes": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockNodes()) }},
		"AddNodes":  {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.AddNodes([]id.Node{theirs.node})) }},
		"AddNodeVersions": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddNodeVersions([]hierarchy.Version{{
				ID: id.NewVersion(tx.Now), Node: mine.node, Parent: theirs.node, Code: "x", Name: "x", Kind: hierarchy.KindProject,
				Capitalization: hierarchy.Expense, EffectiveFrom: tx.Now, RecordedAt: tx.Now, Change: mine.change.ID,
			}}))
		}},
		"CloseNodeVersions": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.CloseNodeVersions([]hierarchy.Closing{{Version: theirs.version, Ends: tx.Now}}, tx.Now)
		}},
		"AddNodeOperations": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddNodeOperations([]byte(theirs.mark("operations")))) // the same bytes are another row here
		}},
		"CloseVersion": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			node, err := tx.CloseVersion("node_version", theirs.version, tx.Now)
			upstream, err2 := tx.CloseVersion("upstream", theirs.upstream, tx.Now)
			return node || upstream, errors.Join(err, err2)
		}},
		"AddPlacements": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddPlacements([]hierarchy.Placement{theirs.placement}))
		}},
		"AddPerson": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddPerson(theirs.person, []byte("x"), nil, nil))
		}},
		"AddMember": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddMember(id.NewMember(tx.Now), theirs.person, "person", "x", "x"))
		}},
		"GrantRole": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.GrantRole(db.NewGrant{Version: id.NewVersion(tx.Now), Member: theirs.member, Role: "tenant_owner", From: tx.Now, Change: mine.change.ID}))
		}},
		"AddDevelopers": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddDevelopers([]string{theirs.developer.UUID()}, [][]byte{[]byte("x")}, []bool{false}))
		}},
		"AddIssuer": {harmless, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddIssuer(db.IssuerRow{IssuerID: theirs.issuer, Name: "x", URL: "x", ClientID: "x", ClientSecretSealed: []byte("x")}, mine.change.ID))
		}},
		"RetireIssuer": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.RetireIssuer(theirs.issuer)) }},
		"AddSignIn": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddSignIn(id.NewSignIn(tx.Now), theirs.issuer, id.Invitation{}, theirs.hash("x"), []byte("x"), "/", tx.Now))
		}},
		"TakeSignIn": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, _, err := tx.TakeSignIn(theirs.signIn)
			return row, err
		}},
		"AddSession": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddSession(db.NewSession{ID: id.NewSession(tx.Now), Member: theirs.member, Token: theirs.hash("x"), ClaimsSealed: []byte("x"), SignedInAt: tx.Now, ExpiresAt: tx.Now}))
		}},
		"SeeSession":    {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.SeeSession(theirs.session)) }},
		"RevokeSession": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.RevokeSession(theirs.session)) }},
		"AddToken": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddToken(db.NewToken{ID: id.NewToken(tx.Now), Member: theirs.member, Label: "x", Hash: theirs.hash("x"), ExpiresAt: tx.Now, Change: mine.change.ID}))
		}},
		"EndRole":     {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) { return tx.EndRole(theirs.grant, mine.change.ID) }},
		"SharePeople": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.SharePeople()) }},
		"LockPeople":  {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockPeople()) }},
		"SetMemberState": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.SetMemberState(id.NewVersion(tx.Now), theirs.member, db.MemberSuspended, mine.change.ID))
		}},
		"LinkAccount": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.LinkAccount(id.NewVersion(tx.Now), mine.member, theirs.person, mine.person, mine.change.ID))
		}},
		"RevokeSessions": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.RevokeSessions(theirs.member, id.Session{}) }},
		"RevokeTokens": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return tx.RevokeTokens(theirs.member, mine.change.ID)
		}},
		"RevokeToken": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) { return tx.RevokeToken(theirs.token, mine.change.ID) }},
		"UseToken":    {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.UseToken(theirs.token, 0)) }},
		"AddMapping": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddMapping(&db.MappingRow{VersionID: id.NewVersion(tx.Now), IssuerID: theirs.issuer, GroupName: "x", Role: "auditor", EffectiveFrom: tx.Now, ChangeID: mine.change.ID}))
		}},
		"AddInvitation": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddInvitation(theirs.invite(), theirs.hash("x")))
		}},
		"TakeInvitation": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return tx.TakeInvitation(theirs.invitation, mine.member)
		}},
		"RevokeInvitation": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return tx.RevokeInvitation(theirs.invitation, mine.change.ID)
		}},
		"AddPriceVersion": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, err := tx.AddPriceVersion([]byte("x"), [32]byte{}, theirs.change.ID)
			return nil, err
		}},
		"AddPriceProposal": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddPriceProposal(theirs.proposal()))
		}},
		"AddRuleVersion": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, err := tx.AddRuleVersion([]byte("x"), 0, tx.Now, theirs.change.ID)
			return nil, err
		}},
		"LockRules":    {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockRules()) }},
		"LockPrices":   {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockPrices()) }},
		"LockUpstream": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockUpstream()) }},
		"LockPlans":    {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockPlans()) }},
		"AddPlan": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddPlan(mine.plan(2, mine.change.ID), theirs.grid()))
		}},
		"LockChange": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.LockChange(theirs.change.ID)) }},
		"AddDecision": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddDecision(theirs.change.ID, 1, "rejected", "x", theirs.change.Digest, "withdrawn", "x"))
		}},
		"SetUpstream": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.SetUpstream(id.NewVersion(tx.Now), "https://x", []byte("x"), tx.Now, theirs.change.ID))
		}},
		"AddUpstreamTest": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			test := theirs.upstreamTest()
			test.Number = 2
			return onlyError(tx.AddUpstreamTest(test))
		}},
		"SetTenantState": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.SetTenantState(id.NewVersion(tx.Now), db.TenantActive, theirs.change.ID))
		}},
		"AddLogo":      {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) { return onlyError(tx.AddLogo(theirs.logo())) }},
		"LockBranding": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockBranding()) }},
		"SetBranding": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			b := mine.branding(tx, mine.change.ID)
			b.VersionID, b.LogoSHA256 = id.NewVersion(tx.Now), theirs.branding(tx, mine.change.ID).LogoSHA256
			return onlyError(tx.SetBranding(b))
		}},
		"SetProfile": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.SetProfile(mine.profile(tx, theirs.change.ID)))
		}},
		"AddPseudonymKey": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.AddPseudonymKey([]byte("x"))) }},
		"ResealPseudonymKey": {harmless, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.ResealPseudonymKey([]byte(theirs.mark("pseudonyms")), []byte("x")))
		}},
		"PostingState":     {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.PostingState(mine.month) }},
		"EnsureUsageMonth": {harmless, func(tx *db.Tx, mine, _ *scene) (any, error) { return onlyError(tx.EnsureUsageMonth(mine.month)) }},
		"AddUsage": {harmless, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			_, err := tx.AddUsage([]pricing.Rated{theirs.rated}, theirs.batch.ID, theirs.month) // the same event is another one here
			return nil, err
		}},
		"AddNewUsage": {harmless, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			other := theirs.rated
			other.Event.ID = id.NewEvent(tx.Now)
			return onlyError(tx.AddNewUsage([]pricing.Rated{other}, theirs.batch.ID, theirs.month))
		}},
		"Roll": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.Roll([]pricing.Rated{mine.event(usage.Share{Placement: theirs.placement.ID, PPM: usage.Whole})}, mine.month))
		}},
		"AddBatch": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			batch := mine.batch
			batch.ID, batch.Record = id.NewBatch(tx.Now), theirs.batch.Record
			return onlyError(tx.AddBatch(batch))
		}},
	})
	return all
}

// dump is every row of a tenant in every table.
func dump(t *testing.T, clone *dbtest.Clone, tenant id.Tenant) string {
	t.Helper()
	admin := clone.Admin(t)
	var all strings.Builder
	for _, table := range tables(t, admin, "r,p") {
		if installation()[table] != "" {
			continue
		}
		var rows *string
		require.NoError(t, admin.QueryRow(fmt.Sprintf(`select string_agg(r::text, E'\n' order by r::text) from %s r where tenant_id = $1`, table), tenant).Scan(&rows))
		if rows != nil {
			fmt.Fprintf(&all, "%s\n%s\n", table, *rows)
		}
	}
	return all.String()
}

// identities is every UUID in a dump but those both tenants have, in both spellings.
func identities(theirs, mine string) []string {
	form := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	var list []string
	for _, uuid := range form.FindAllString(theirs, -1) {
		if !strings.Contains(mine, uuid) && !slices.Contains(list, uuid) {
			list = append(list, uuid, strings.ReplaceAll(uuid, "-", ""))
		}
	}
	return list
}

var errRollBack = errors.New("roll back")

// TestNoQueryReachesAnotherTenant runs every query there is as tenant one with tenant
// two's data present: nothing of it comes back, nothing of it changes.
func TestNoQueryReachesAnotherTenant(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	mine, theirs := newScene("one").furnish(t, clone), newScene("two").furnish(t, clone)
	before := dump(t, clone, theirs.tenant)
	marks := append(identities(before, dump(t, clone, mine.tenant)), "two-")
	require.Greater(t, len(marks), 40)
	require.Contains(t, before, "two-reason")

	table := reading()
	maps.Copy(table, writing())
	for name, q := range table {
		var answer any
		err := clone.InTenant(t.Context(), mine.tenant, func(tx *db.Tx) error {
			var err error
			if answer, err = q.call(tx, mine, theirs); err != nil {
				return err
			}
			return errRollBack
		})
		switch q.want {
		case refused:
			require.Regexp(t, `SQLSTATE (23|TB004)`, err.Error(), name)
		case absent:
			require.True(t, errors.Is(err, errRollBack) || fault.KindOf(err) == fault.KindNotFound, "%s: %v", name, err)
			v := reflect.ValueOf(answer)
			empty := !v.IsValid() || v.IsZero() || (v.Kind() == reflect.Slice && v.Len() == 0)
			require.True(t, empty, "%s: %+v", name, answer)
		case own:
			require.ErrorIs(t, err, errRollBack, name)
			require.False(t, reflect.ValueOf(answer).IsZero(), name)
		case harmless:
			require.ErrorIs(t, err, errRollBack, name)
		}
		encoded, err := json.Marshal(answer)
		require.NoError(t, err)
		for _, mark := range marks {
			require.NotContains(t, string(encoded), mark, name)
		}
	}
	require.Equal(t, before, dump(t, clone, theirs.tenant))

	// And committed, what writes one's own leaves the other's alone.
	for name, q := range writing() {
		if q.want != harmless {
			continue
		}
		require.NoError(t, clone.InTenant(t.Context(), mine.tenant, func(tx *db.Tx) error {
			_, err := q.call(tx, mine, theirs)
			return err
		}), name)
		require.Equal(t, before, dump(t, clone, theirs.tenant), name)
	}
}

// TestEveryQueryHasATwoTenantTest fails for a new query until it is in a table above.
func TestEveryQueryHasATwoTenantTest(t *testing.T) {
	t.Parallel()
	table := reading()
	maps.Copy(table, writing())
	require.Len(t, table, len(reading())+len(writing()), "a query is in one table")
	for method := range reflect.TypeFor[*db.Tx]().Methods() {
		name := method.Name
		require.Contains(t, table, name, "%s needs a case in reading() or writing()", name)
		delete(table, name)
	}
	require.Empty(t, table, "cases without a query")
}
