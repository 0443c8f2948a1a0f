package db_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/branding"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/plan"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
	"tollbook/db/dbtest"
)

// scene is one tenant with a row in every table, and the ids of those rows.
type scene struct {
	slug       string
	tenant     id.Tenant
	change     approval.Change
	node       id.Node
	version    id.Version
	placement  hierarchy.Placement
	key        id.Key
	person     id.Person
	member     id.Member
	developer  id.Developer
	issuer     id.Issuer
	signIn     id.SignIn
	invitation id.Invitation
	mapping    id.Version
	grant      id.Version
	session    id.Session
	token      id.Token
	right      id.Right
	login      id.Login
	device     id.Ask
	loopback   id.Ask
	upstream   id.Version
	brand      id.Version
	view       id.View
	batch      db.Batch
	adjustment id.Batch
	entry      id.Entry
	pull       id.Pull
	run        id.Run
	variance   id.Variance
	dispute    id.Dispute
	other      id.Node // beside node
	names      id.Pull
	export     id.Export
	invoice    id.Invoice
	allocation id.Allocation
	deputy     id.Member
	delegation id.Delegation
	attachment id.Attachment
	channel    id.Channel
	delivery   id.Delivery
	packet     id.Packet
	packetAsk  id.Record
	recipient  id.Recipient

	packetDelivery id.Delivery

	decision id.Decision
	rated    pricing.Rated
	month    period.Month
}

func (s *scene) mark(what string) string { return s.slug + "-" + what }

func (s *scene) hash(what string) secret.Hash {
	var h secret.Hash
	copy(h[:], s.mark(what))
	return h
}

func newScene(slug string) *scene {
	at := time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC)
	s := &scene{
		slug: slug, tenant: id.NewTenant(at), node: id.NewNode(at), version: id.NewVersion(at), key: id.NewKey(at), person: id.NewPerson(at), member: id.NewMember(at),
		developer: id.DeriveDeveloper([]byte(slug)), issuer: id.NewIssuer(at), signIn: id.NewSignIn(at), invitation: id.NewInvitation(at), mapping: id.NewVersion(at), grant: id.NewVersion(at), session: id.NewSession(at), token: id.NewToken(at),
		upstream: id.NewVersion(at), brand: id.NewVersion(at), view: id.NewView(at), month: period.MonthOf(at),
	}
	s.right, s.login, s.device, s.loopback = id.NewRight(at), id.NewLogin(at), id.NewAsk(at), id.NewAsk(at)
	s.batch = db.Batch{ID: id.NewBatch(at), Posting: s.month, Requests: 1, Record: id.NewRecord(at), Canonical: []byte(s.mark("bytes"))}
	return s
}

// furnish puts a row into every table a tenant has.
func (s *scene) furnish(t *testing.T, clone *dbtest.Clone) *scene {
	t.Helper()
	require.NoError(t, clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
		require.NoError(t, tx.AddTenant(s.slug, s.mark("name")))
		number, err := tx.Counter("change")
		require.NoError(t, err)
		s.change, err = approval.Propose(approval.Change{ID: id.NewChange(tx.Now), Number: number, Kind: "node", Reason: s.mark("reason"), EffectiveFrom: tx.Now, Maker: s.member.String(), ProposedAt: tx.Now}, []byte(`{}`))
		require.NoError(t, err)
		require.NoError(t, tx.AddChange(s.change))
		require.NoError(t, tx.AddChangeMove(s.change.ID, 0, approval.StateProposed, s.member.String(), s.change.Digest))
		require.NoError(t, tx.AddNodes([]id.Node{s.node}))
		v := hierarchy.Version{
			ID: s.version, Node: s.node, Code: s.mark("code"), Name: s.mark("node"), Kind: hierarchy.KindCostCenter, Capitalization: hierarchy.Expense,
			EffectiveFrom: tx.Now.AddDate(0, -1, 0), RecordedAt: tx.Now, Change: s.change.ID,
		}
		require.NoError(t, tx.AddNodeVersions([]hierarchy.Version{v}))
		require.NoError(t, tx.AddNodeOperations([]byte(s.mark("operations"))))
		tree, err := hierarchy.Build([]hierarchy.Version{v}, tx.Now, time.Time{})
		require.NoError(t, err)
		s.placement, err = tree.Place(s.node)
		require.NoError(t, err)
		require.NoError(t, tx.AddPlacements([]hierarchy.Placement{s.placement}))
		require.NoError(t, tx.AddKey(db.FreshKey{ID: s.key, Label: s.mark("key"), Hint: "hint", Hash: s.hash("key"), Models: []string{s.mark("model")}}, s.change.ID))
		require.NoError(t, tx.AddKeySecret(s.secret(s.key), s.change.ID))
		require.NoError(t, tx.AssignKey(id.NewVersion(tx.Now), s.key, s.node, []id.Node{s.node}, tx.Now, s.change.ID))
		s.people(t, tx)
		_, err = tx.AddPriceVersion(append(pricing.VendorList(), []byte("# "+s.slug+"\n")...), [32]byte{1}, s.change.ID)
		require.NoError(t, err)
		require.NoError(t, tx.AddPriceProposal(s.proposal()))
		_, err = tx.AddRuleVersion([]byte(s.mark("rules")), 0, s.month.Start(), s.change.ID)
		require.NoError(t, err)
		require.NoError(t, tx.AddPlan(s.plan(1, s.change.ID), s.grid()))
		require.NoError(t, tx.SetUpstream(s.upstream, "https://"+s.mark("upstream"), []byte("sealed"), tx.Now, s.change.ID))
		require.NoError(t, tx.AddUpstreamTest(s.upstreamTest()))
		require.NoError(t, tx.SetProfile(s.profile(tx, s.change.ID)))
		require.NoError(t, tx.AddLogo(s.logo()))
		require.NoError(t, tx.SetBranding(s.branding(tx, s.change.ID)))
		require.NoError(t, tx.SetTenantState(id.NewVersion(tx.Now), db.TenantSuspended, s.change.ID))
		require.NoError(t, tx.AddPseudonymKey([]byte(s.mark("pseudonyms"))))
		s.logins(t, tx)
		s.approvals(t, tx)
		require.NoError(t, tx.Remember("actor", "once", []byte(s.mark("digest")), []byte("sealed")))
		s.usage(t, tx)
		s.decisions(t, tx)
		s.adjustments(t, tx)
		s.journal(t, tx)
		s.packets(t, tx)
		s.pulls(t, tx)
		s.exports(t, tx)
		s.invoices(t, tx)
		s.reconciliation(t, tx)
		s.closing(t, tx)
		s.disputed(t, tx)
		_, err = tx.SequenceAudit()
		require.NoError(t, err)
		_, err = tx.AddLogKey(s.mark("log key"), []byte(s.mark("endorsement")))
		require.NoError(t, err)
		require.NoError(t, tx.EndLogKey(s.mark("log key"), 1))
		require.NoError(t, tx.AddCheckpoint(db.CheckpointRow{Size: 1, Root: make([]byte, 32), Message: []byte(s.mark("head"))}))
		require.NoError(t, tx.AddWitness(db.WitnessRow{Witness: s.mark("witness"), Kind: "log", Size: 1, Seen: true, Receipt: []byte(s.mark("receipt")), Object: s.mark("object")}))
		require.NoError(t, tx.AddLogCheck(s.batch.Record))
		s.notices(t, tx)
		return tx.AppendAudit(auditlog.Record{Action: s.mark("pending"), Actor: "test"})
	}))
	return s
}

func (s *scene) proposal() db.PriceProposalRow {
	vendor := [32]byte{2}
	return db.PriceProposalRow{ChangeID: s.change.ID, Basis: "vendor", BaseVersion: 1, VendorDigest: vendor[:], Document: []byte(s.mark("document"))}
}

func (s *scene) upstreamTest() *db.UpstreamTestRow {
	return &db.UpstreamTestRow{Number: 1, VersionID: s.upstream, Outcome: "works", Detail: s.mark("detail"), Actor: s.member.String()}
}

func (s *scene) profile(tx *db.Tx, change id.Change) *db.ProfileRow {
	return &db.ProfileRow{VersionID: id.NewVersion(tx.Now), Name: s.mark("called"), TimeZone: "UTC", FiscalMonth: 4, EffectiveFrom: tx.Now, ChangeID: change}
}

func (s *scene) logo() *branding.Logo {
	content := []byte(s.mark("pixels"))
	return &branding.Logo{Type: branding.TypePNG, Content: content, SHA256: sha256.Sum256(content), Width: 100, Height: 40}
}

func (s *scene) branding(tx *db.Tx, change id.Change) *db.BrandingRow {
	logo := s.logo()
	return &db.BrandingRow{VersionID: s.brand, LegalName: s.mark("legal"), Accent: "#1d4ed8", Confidentiality: s.mark("line"), LogoSHA256: logo.SHA256[:], EffectiveFrom: tx.Now, ChangeID: change}
}

func (s *scene) plan(number int, change id.Change) plan.Version {
	return plan.Version{Number: number, Year: plan.CalendarYear(s.month), Ordinal: number - 1, EffectiveFrom: s.month.Start(), Change: change}
}

func (s *scene) grid() plan.Grid {
	return plan.Grid{s.node: plan.Row{10: plan.Of(700)}}
}

func (s *scene) secret(key id.Key) db.FreshSecret {
	return db.FreshSecret{Version: id.NewVersion(time.Now()), Key: key, Place: 2, Hash: s.hash("secret"), Hint: s.mark("hint"), EarlierUntil: s.month.End()}
}

func (s *scene) logins(t *testing.T, tx *db.Tx) {
	t.Helper()
	later := tx.Now.Add(time.Hour)
	require.NoError(t, tx.AddRight(s.right, s.member, s.node, s.change.ID))
	require.NoError(t, tx.AddLogin(s.fresh(s.member)))
	require.NoError(t, tx.ChargeLogin(s.login, s.node, s.key))
	require.NoError(t, tx.AddCredential(id.NewVersion(tx.Now), s.login, s.hash("credential"), later))
	code := s.hash("code")
	require.NoError(t, tx.AddAsk(db.FreshAsk{ID: s.device, Secret: s.hash("device"), UserCode: &code, Client: s.mark("client"), ExpiresAt: later}))
	require.NoError(t, tx.AddAsk(db.FreshAsk{ID: s.loopback, Secret: s.hash("loop"), Challenge: s.mark("challenge"), Client: s.mark("client"), ExpiresAt: later, MemberID: s.member, NodeID: s.node, LoginExpiresAt: later}))
}

func (s *scene) fresh(member id.Member) db.FreshLogin {
	return db.FreshLogin{ID: s.login, MemberID: member, DeveloperID: s.developer, LabelSealed: []byte(s.mark("label")), Client: s.mark("client"), Refresh: s.hash("refresh"), ExpiresAt: time.Now().Add(time.Hour)}
}

func (s *scene) people(t *testing.T, tx *db.Tx) {
	t.Helper()
	require.NoError(t, tx.AddPerson(s.person, []byte(s.mark("sealed")), []byte(s.mark("mail")), []byte(s.mark("mail-hash"))))
	require.NoError(t, tx.AddMember(s.member, s.person, "person", "https://idp", s.mark("subject")))
	require.NoError(t, tx.AddDevelopers([]string{s.developer.UUID()}, [][]byte{[]byte(s.mark("label"))}, []bool{true}))
	require.NoError(t, tx.AddIssuer(db.IssuerRow{IssuerID: s.issuer, Name: s.mark("issuer"), URL: "https://idp", ClientID: "x", ClientSecretSealed: []byte("sealed"), Domains: "shared.test"}, s.change.ID))
	require.NoError(t, tx.AddMapping(&db.MappingRow{VersionID: s.mapping, IssuerID: s.issuer, GroupName: s.mark("group"), Role: "auditor", NodeID: s.node, EffectiveFrom: tx.Now, ChangeID: s.change.ID}))
	require.NoError(t, tx.GrantRole(db.NewGrant{Version: s.grant, Member: s.member, Role: "auditor", Node: s.node, From: tx.Now, Change: s.change.ID, Mapping: s.mapping}))
	ended := id.NewVersion(tx.Now)
	require.NoError(t, tx.GrantRole(db.NewGrant{Version: ended, Member: s.member, Role: "analyst", From: tx.Now.AddDate(0, 0, -1), Change: s.change.ID}))
	done, err := tx.EndRole(ended, s.change.ID)
	require.NoError(t, err)
	require.True(t, done)
	require.NoError(t, tx.SetMemberState(id.NewVersion(tx.Now), s.member, db.MemberActive, s.change.ID))
	require.NoError(t, tx.LinkAccount(id.NewVersion(tx.Now), s.member, s.person, s.person, s.change.ID))
	require.NoError(t, tx.AddInvitation(s.invite(), s.hash("code")))
	require.NoError(t, tx.AddSignIn(s.signIn, s.issuer, s.invitation, s.hash("state"), []byte("sealed"), "/", tx.Now.Add(time.Hour)))
	require.NoError(t, tx.AddFounding(s.founding()))
	require.NoError(t, tx.AddSession(db.NewSession{ID: s.session, Member: s.member, Issuer: s.issuer, Token: s.hash("session"), ClaimsSealed: []byte(s.mark("claims")), SignedInAt: tx.Now, ExpiresAt: tx.Now.Add(time.Hour)}))
	require.NoError(t, tx.AddView(s.view, s.member, s.mark("view"), "by=day", s.change.ID))
	require.NoError(t, tx.DeclareTags([]string{s.mark("tag"), "team"}, s.change.ID))
	require.NoError(t, tx.AddToken(db.NewToken{ID: s.token, Member: s.member, Label: s.mark("token"), Hash: s.hash("token"), ExpiresAt: tx.Now.Add(time.Hour), Change: s.change.ID}))
}

func (s *scene) founding() *db.FoundingRow {
	return &db.FoundingRow{MemberID: s.member, IssuerID: s.issuer, Issuer: "https://idp", Subject: s.mark("subject"), ChangeID: s.change.ID}
}

func (s *scene) invite() *db.InvitationRow {
	return &db.InvitationRow{
		InvitationID: s.invitation, IssuerID: s.issuer, NameSealed: []byte(s.mark("invited")), EmailSealed: []byte("sealed"), Role: "auditor", NodeID: s.node,
		ExpiresAt: time.Now().AddDate(1, 0, 0), ChangeID: s.change.ID,
	}
}

func (s *scene) event(shares ...usage.Share) pricing.Rated {
	at := s.month.Start().Add(time.Hour)
	if len(shares) == 0 {
		shares = []usage.Share{{Placement: s.placement.ID, PPM: usage.Whole}}
	}
	r := pricing.Rated{Version: 1, Charge: pricing.Charge{List: 7, Net: 7}, Event: usage.Event{
		ID: id.NewEvent(at), State: usage.StateComplete, HTTPStatus: 200, RequestID: s.mark("request"), SessionID: s.mark("session"), Key: s.key, Developer: s.developer,
		ModelRequested: s.mark("model"), Counts: usage.Counts{Tokens: usage.Tokens{3}}, Shares: shares, Rule: "rule:" + s.mark("rule"), RuleVersion: 1, Replica: id.ReplicaFromBytes([16]byte{1}),
	}}
	for i := range shares {
		r.Amounts = append(r.Amounts, money.Pico(7*oneIf(i == 0)))
	}
	return r
}

func oneIf(condition bool) int64 {
	if condition {
		return 1
	}
	return 0
}

func (s *scene) usage(t *testing.T, tx *db.Tx) {
	t.Helper()
	require.NoError(t, tx.EnsureUsageMonth(s.month))
	_, err := tx.PostingState(s.month)
	require.NoError(t, err)
	s.rated = s.event()
	added, err := tx.AddUsage([]pricing.Rated{s.rated}, s.batch.ID, s.month)
	require.NoError(t, err)
	require.Len(t, added, 1)
	require.NoError(t, tx.Roll([]pricing.Rated{s.rated}, s.month))
	s.batch.Amount.Add(s.rated.Charge.Net)
	require.NoError(t, tx.AppendAudit(auditlog.Record{ID: s.batch.Record, Action: "usage.batch", Actor: "system"}))
	require.NoError(t, tx.AddBatch(s.batch))
}

// outcome is what a query may do when it is asked for another tenant's rows.
type outcome string

const (
	absent   outcome = "absent"   // it answers as if there were none
	own      outcome = "own"      // it answers with the asking tenant's rows alone
	refused  outcome = "refused"  // the database does not accept the reference
	harmless outcome = "harmless" // it does nothing to the other tenant
)

type query struct {
	want outcome
	// call runs as tenant one ("mine") and names tenant two's rows ("theirs").
	call func(tx *db.Tx, mine, theirs *scene) (any, error)
}

// many puts several answers into one.
func many(answers ...any) (any, error) {
	last := len(answers) - 1
	err, _ := answers[last].(error)
	return answers[:last], err
}

func onlyError(err error) (any, error) { return nil, err }

// reading is every query that reads.
func reading() map[string]query {
	all := readingApprovals()
	maps.Copy(all, readingNotices())
	maps.Copy(all, readingDecisions())
	maps.Copy(all, readingAdjustments())
	maps.Copy(all, readingRetention())
	maps.Copy(all, readingJournal())
	maps.Copy(all, readingPackets())
	maps.Copy(all, readingProvider())
	maps.Copy(all, readingExports())
	maps.Copy(all, readingInvoices())
	maps.Copy(all, readingReconciliation())
	maps.Copy(all, readingClosing())
	maps.Copy(all, readingDisputes())
	maps.Copy(all, map[string]query{
		"TenantRow":        {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.TenantRow()) }},
		"LastChangeNumber": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.LastChangeNumber()) }},
		"LogSize":          {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.LogSize() }},
		"LogNodes": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			hashes, err := tx.LogNodes([]auditlog.Node{{Position: 0}})
			rows, failed := tx.Log(0, 1)
			if len(hashes) != 1 || len(rows) != 1 || !bytes.Equal(hashes[0][:], rows[0].Leaf) {
				err = errors.Join(errors.New("not one's own leaf"), err, failed)
			}
			return mine.tenant, err
		}},
		"LogPage": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.LogPage(db.LogFilter{Limit: 500})
			return text(rows), err
		}},
		"LogRecord": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.LogRecord(theirs.batch.Record)
			if found {
				err = errors.New("found")
			}
			return row, err
		}},
		"LogSpan": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			_, through, err := tx.LogSpan(time.Time{}, tx.Now.Add(time.Hour))
			return through, err
		}},
		"CheckpointDue": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.CheckpointDue(tx.Now.Add(time.Hour))) }},
		"Checkpoints":   {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Checkpoints(10, 10); return text(rows), err }},
		"FirstCheckpoint": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			row, found, err := tx.FirstCheckpoint(0)
			return many(text([]db.CheckpointRow{row}), found, err)
		}},
		"LastLogCheck": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			row, _, err := tx.LastLogCheck()
			if row.RecordID != mine.batch.Record {
				err = errors.Join(errors.New("not one's own check"), err)
			}
			return mine.tenant, err
		}},
		"Context":    {absent, func(tx *db.Tx, _, _ *scene) (any, error) { return nil, tx.Context().Err() }},
		"LogKeyRows": {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.LogKeyRows(); return text(rows), err }},
		"Sights":     {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Sights(10, 10); return text(rows), err }},
		"LastSeen": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.LastSeen(theirs.mark("witness"))
			if found {
				err = errors.New("found")
			}
			return row.Object, err
		}},
		"LastAsked": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.LastAsked(theirs.mark("witness"))
			if found {
				err = errors.New("found")
			}
			return row.Object, err
		}},
		"LogKeys": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.LogKeys() }},
		"BatchBytes": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			compressed, found, err := tx.BatchBytes(theirs.batch.ID)
			if found {
				err = errors.New("found")
			}
			return compressed, err
		}},
		"Log":          {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Log(0, 500); return text(rows), err }},
		"PendingAudit": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.PendingAudit()) }},
		"Remembered": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			digest, _, found, err := tx.Remembered("actor", "once")
			return many(string(digest), found, err)
		}},
		"Keys": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.Keys(id.Key{}, 500)) }},
		"Key":  {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Key(theirs.key) }},
		"SignInKey": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.SignInKey(theirs.node)
			return found, err
		}},
		"Rights":   {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Rights(500); return text(rows), err }},
		"RightsOf": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.RightsOf(theirs.member) }},
		"Right":    {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Right(theirs.right) }},
		"MemberByEmail": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			var hash secret.Hash
			copy(hash[:], theirs.mark("mail-hash"))
			member, _, err := tx.MemberByEmail([]secret.Hash{hash})
			return member, err
		}},
		"SessionEnds": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.SessionEnds(theirs.session)
			return found, err
		}},
		"OpenAsks": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			n, err := tx.OpenAsks()
			if n != 2 {
				err = errors.Join(errors.New("not one's own asks"), err)
			}
			return n, err
		}},
		"AskByCode": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, _, err := tx.AskByCode([]secret.Hash{theirs.hash("code")})
			return row, err
		}},
		"Ask": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, _, err := tx.Ask(theirs.device)
			return row, err
		}},
		"LiveCredentials": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.LiveCredentials(theirs.login) }},
		"Login": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, _, err := tx.Login(theirs.login)
			return row, err
		}},
		"Logins": {own, func(tx *db.Tx, _, theirs *scene) (any, error) {
			if rows, err := tx.Logins(theirs.member, 500); err != nil || len(rows) > 0 {
				return nil, errors.Join(errors.New("another tenant's logins"), err)
			}
			rows, err := tx.Logins(id.Member{}, 500)
			return text(rows), err
		}},
		"LastCharged": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.LastCharged(theirs.member)
			return found, err
		}},
		"KeySecrets": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.KeySecrets(theirs.key) }},
		"KeyHistory": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.KeyHistory(theirs.key) }},
		"KeyUse": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.KeyUse(mine.month, mine.month)
			if len(rows) != 1 || rows[0].KeyID != mine.key || rows[0].ChargePico != "7" {
				err = errors.Join(errors.New("not one's own key's use"), err)
			}
			return rows, err
		}},
		"KeyLabels": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.KeyLabels([]string{theirs.key.UUID()}) }},
		"NodeOperations": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			document, err := tx.NodeOperations(sha256.Sum256([]byte(mine.mark("operations"))))
			if string(document) != mine.mark("operations") {
				err = errors.Join(errors.New("not one's own operations"), err)
			}
			others, err2 := tx.NodeOperations(sha256.Sum256([]byte(theirs.mark("operations"))))
			if len(others) > 0 {
				err = errors.Join(errors.New("another's operations"), err)
			}
			return string(document), errors.Join(err, err2)
		}},
		"KeysOnNodes": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return many(tx.KeysOnNodes(tx.Now, []id.Node{mine.node, theirs.node}))
		}},
		"NodeEnds": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, ends, err := tx.NodeEnds(theirs.node)
			return ends, err
		}},
		"AbsentMembers": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			absent, err := tx.AbsentMembers([]id.Member{mine.member, theirs.member})
			if len(absent) != 1 || absent[0] != theirs.member {
				err = errors.Join(fmt.Errorf("%v are absent", absent), err)
			}
			return false, err
		}},
		"NodeVersions": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.NodeVersions()) }},
		"Members":      {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Members(500); return text(rows), err }},
		"Member":       {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Member(theirs.member) }},
		"MemberByIdentity": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.MemberByIdentity("https://idp", theirs.mark("subject"))
		}},
		"Roles": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Roles(theirs.member) }},
		"Developers": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.Developers([]string{theirs.developer.UUID()})
		}},
		"MembersAt": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.MembersAt(tx.Now, 500)
			return text(rows), err
		}},
		"MemberNow":     {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.MemberNow(theirs.member) }},
		"FormerPersons": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.FormerPersons(theirs.person) }},
		"Accounts":      {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Accounts(theirs.person) }},
		"PersonRoles": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.PersonRoles(theirs.person)
		}},
		"GrantsAt": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.GrantsAt(tx.Now, 500)
			return text(rows), err
		}},
		"GrantsOf":   {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.GrantsOf(theirs.member) }},
		"GrantsFrom": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.GrantsFrom(theirs.mapping, 500) }},
		"OpenChangesBy": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.OpenChangesBy(theirs.member)
		}},
		"StandingBy": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.StandingBy(theirs.change.Kind, []string{theirs.change.Maker}, time.Time{}, 500)
		}},
		"MakerActs": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.MakerActs(mine.change.Maker) }},
		"MakersOf":  {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.MakersOf(theirs.person) }},
		"KnownTo": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return tx.KnownTo([]string{"test", theirs.member.String(), theirs.change.Maker}, mine.person, 500)
		}},
		"Steps": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Steps(theirs.member, 500) }},
		"NamesBehind": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.NamesBehind([]string{theirs.member.UUID()}, []string{theirs.token.UUID()})
		}},
		"Mappings": {own, func(tx *db.Tx, _, theirs *scene) (any, error) {
			rows, err := tx.Mappings(theirs.issuer, 500)
			if err != nil || len(rows) > 0 {
				return nil, errors.Join(errors.New("another tenant's issuer has mappings here"), err)
			}
			rows, err = tx.Mappings(id.Issuer{}, 500)
			return text(rows), err
		}},
		"Invitation": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Invitation(theirs.invitation) }},
		"OpenInvitations": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.OpenInvitations(500)
			return text(rows), err
		}},
		"Tokens": {own, func(tx *db.Tx, _, theirs *scene) (any, error) {
			rows, err := tx.Tokens(theirs.member, 500)
			if err != nil || len(rows) > 0 {
				return nil, errors.Join(errors.New("another tenant's member has tokens here"), err)
			}
			rows, err = tx.Tokens(id.Member{}, 500)
			return text(rows), err
		}},
		"Token": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Token(theirs.token) }},
		"Sessions": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.Sessions(theirs.person, 500)
		}},
		"SessionClaims": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.SessionClaims(theirs.session) }},
		"Issuers":       {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.Issuers()) }},
		"LiveSession": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, _, err := tx.LiveSession(theirs.session, time.Hour)
			return row, err
		}},
		"PersonEmail":  {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.PersonEmail(theirs.person) }},
		"PriceVersion": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.PriceVersion()) }},
		"PriceDocument": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			document, err := tx.PriceDocument(1)
			return string(document), err
		}},
		"PseudonymKey": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			sealed, err := tx.PseudonymKey()
			return string(sealed), err
		}},
		"PriceVersions": {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.PriceVersions(500); return text(rows), err }},
		"RuleVersions":  {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.RuleVersions(500); return text(rows), err }},
		"RuleMonth": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.RuleMonth(mine.month)
			return text(rows), err
		}},
		"RuleVersion": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			row, _, err := tx.RuleVersion(1)
			return string(row.Document), err
		}},
		"RulesAt": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			row, _, err := tx.RulesAt(tx.Now, time.Time{})
			return string(row.Document), err
		}},
		"KeyCenters": {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.KeyCenters(); return text(rows), err }},
		"VerifiedDevelopers": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.VerifiedDevelopers()
			if len(rows) != 1 || rows[0].DeveloperID != mine.developer {
				err = errors.Join(errors.New("not one's own developer"), err)
			}
			return string(rows[0].LabelSealed), err
		}},
		"EachPlaced": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			found := ""
			err := tx.EachPlaced(mine.month.Start(), mine.month.End(), true, func(r *db.PlacedRow) error {
				found += string(r.Tags) + r.Model
				return nil
			})
			return found, err
		}},
		"PriceProposal": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.PriceProposal(theirs.change.ID)
		}},
		"BatchMark": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			mark, err := tx.BatchMark()
			if mark == "" {
				err = errors.Join(errors.New("not one's own batch"), err)
			}
			return "a mark", err
		}},
		"PriceStanding": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			version, open, err := tx.PriceStanding()
			if len(open) != 1 || open[0] != mine.change.ID {
				err = errors.Join(errors.New("not one's own proposal"), err)
			}
			return version, err
		}},
		"OpenPriceProposals": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			open, err := tx.OpenPriceProposals()
			if len(open) != 1 || open[0] != mine.change.ID {
				err = errors.Join(errors.New("not one's own proposal"), err)
			}
			return open, err
		}},
		"VendorKnown": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.VendorKnown([32]byte{2}, 1) }},
		"ModelsSince": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.ModelsSince(mine.month.Start())
			return text(rows), err
		}},
		"Change": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Change(theirs.change.ID) }},
		"Changes": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.Changes(db.ChangeFilter{Kinds: []string{"node"}, Limit: 500})
			return text(rows), err
		}},
		"MakerPersons": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			account, err := tx.MakerPersons(theirs.member.String())
			token, err2 := tx.MakerPersons(theirs.token.String())
			return append(account, token...), errors.Join(err, err2)
		}},
		"PersonsWith": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.PersonsWith([]string{"auditor"})
			return text(rows), err
		}},
		"Here":      {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.Here()) }},
		"Brandings": {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Brandings(500); return text(rows), err }},
		"LogoOf": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, _, found, err := tx.LogoOf(theirs.brand)
			return found, err
		}},
		"AccentOf": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.AccentOf(theirs.brand)
			return found, err
		}},
		"Profiles":  {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Profiles(500); return text(rows), err }},
		"Upstreams": {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Upstreams(500); return text(rows), err }},
		"UpstreamTests": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.UpstreamTests(500)
			return text(rows), err
		}},
		"ExportTables": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			tables, err := tx.ExportTables()
			return len(tables), err
		}},
		"StreamTable": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			tables, err := tx.ExportTables()
			if err != nil {
				return nil, err
			}
			var all []string
			for _, table := range tables {
				if err := tx.StreamTable(table, func(row []*string) error {
					for _, field := range row {
						if field != nil {
							all = append(all, *field)
							if text, err := hex.DecodeString(strings.TrimPrefix(*field, `\x`)); err == nil {
								all = append(all, string(text))
							}
						}
					}
					return nil
				}); err != nil {
					return nil, err
				}
			}
			return all, err
		}},
		"SchemaVersion": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.SchemaVersion() }},
		"Founding": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			row, found, err := tx.Founding()
			if !found || row.MemberID != mine.member {
				err = errors.Join(errors.New("not one's own founding"), err)
			}
			return row, err
		}},
		"FirstPriced": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			event, _, err := tx.FirstPriced()
			if event != mine.rated.Event.ID {
				err = errors.Join(errors.New("not one's own request"), err)
			}
			return event, err
		}},
		"Suspended":   {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.Suspended() }},
		"UpstreamURL": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.UpstreamURL()) }},
		"Usage": {own, func(tx *db.Tx, _, theirs *scene) (any, error) {
			all, err := tx.Usage(db.UsageFilter{Limit: 500})
			if err != nil {
				return nil, err
			}
			for _, f := range []db.UsageFilter{
				{Node: theirs.node}, {Within: []id.Node{theirs.node}}, {Key: theirs.key}, {Developer: theirs.developer}, {Session: theirs.mark("session")},
				{RequestID: theirs.mark("request")}, {Event: theirs.rated.Event.ID}, {Model: theirs.mark("model")},
			} {
				f.Limit = 500
				if rows, err := tx.Usage(f); err != nil || len(rows) > 0 {
					return nil, errors.Join(errors.New("a filter found another tenant's rows"), err)
				}
			}
			return text(all), nil
		}},
		"SessionHeads": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			all, _, err := tx.SessionHeads(db.UsageFilter{Limit: 50})
			if len(all) != 1 || all[0].SessionID != mine.mark("session") {
				err = errors.Join(errors.New("not one's own session"), err)
			}
			for _, f := range []db.UsageFilter{{Node: theirs.node}, {Within: []id.Node{theirs.node}}, {Key: theirs.key}, {Developer: theirs.developer}} {
				f.Limit = 50
				if rows, _, err := tx.SessionHeads(f); err != nil || len(rows) > 0 {
					return nil, errors.Join(errors.New("a filter found another tenant's session"), err)
				}
			}
			return text(all), err
		}},
		"SessionSums": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.SessionSums([]string{theirs.mark("session")}, nil, id.Developer{})
		}},
		"Explore": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			var all []db.Explored
			for _, source := range []db.Source{db.SourcePlacements, db.SourceDevelopers, db.SourceRequests} {
				ask := db.Exploring{UsageFilter: db.UsageFilter{From: mine.month.Start(), To: mine.month.End()}, Source: source, By: [2]db.Grouping{db.GroupPlacement, db.GroupDay}, Limit: 50}
				rows, err := tx.Explore(ask)
				if err != nil || len(rows) != 1 || rows[0].ChargePico != "7" || rows[0].Tokens != 3 {
					return nil, errors.Join(fmt.Errorf("not one's own sum of %s: %+v", source, rows), err)
				}
				all = append(all, rows...)
				ask.Node = theirs.node
				if rows, err = tx.Explore(ask); err != nil || len(rows) > 0 {
					return nil, errors.Join(fmt.Errorf("a sum of another tenant's node of %s", source), err)
				}
			}
			return all, nil
		}},
		"ExploreSize": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			f := db.UsageFilter{From: mine.month.Start(), To: mine.month.End()}
			own, err := tx.ExploreSize(db.Exploring{UsageFilter: f, Limit: 50})
			f.Key = theirs.key
			other, err2 := tx.ExploreSize(db.Exploring{UsageFilter: f, Limit: 50})
			if own != 1 || other != 0 {
				err = errors.Join(fmt.Errorf("%d of one's own, %d of another's", own, other), err)
			}
			return own, errors.Join(err, err2)
		}},
		"FindKeys": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.FindKeys(theirs.mark("key"), 50) }},
		"SeenDevelopers": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			all, err := tx.SeenDevelopers(nil, 50)
			within, err2 := tx.SeenDevelopers([]id.Node{mine.node, theirs.node}, 50)
			if len(all) != 1 || len(within) != 1 {
				err = errors.Join(errors.New("not one's own developer"), err)
			}
			return text(all), errors.Join(err, err2)
		}},
		"Views": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Views(theirs.member) }},
		"DeclaredTags": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			keys, err := tx.DeclaredTags()
			if len(keys) != 2 || keys[0] != mine.mark("tag") {
				err = errors.Join(errors.New("not one's own tags"), err)
			}
			return keys, err
		}},
		"UsageStory": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.UsageStory(theirs.rated.Event.ID) }},
		"Placements": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.Placements()) }},
		"MonthBy": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			var all []db.SumRow
			for _, by := range []string{"placement", "model", "key", "developer", "day"} {
				rows, err := tx.MonthBy(mine.month, by, nil)
				if err != nil || len(rows) != 1 || rows[0].ChargePico != "7" {
					return nil, errors.Join(errors.New("not one's own sum by "+by), err)
				}
				all = append(all, rows...)
				if rows, err = tx.MonthBy(mine.month, by, []id.Node{theirs.node}); err != nil || len(rows) > 0 {
					return nil, errors.Join(errors.New("a sum of another tenant's node by "+by), err)
				}
			}
			return all, nil
		}},
		"DeveloperMonth": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.DeveloperMonth(theirs.month, theirs.developer)
		}},
		"BatchControl": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			requests, pico, err := tx.BatchControl(mine.month)
			if requests != 1 || pico != "7" {
				err = errors.Join(errors.New("not one's own batches"), err)
			}
			return pico, err
		}},
		"BookMonths": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.BookMonths(time.Time{}) }},
		"ProveMonth": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			c, err := tx.ProveMonth(mine.month)
			if c != (db.Control{EventRequests: 1, BatchRequests: 1, RollupRequests: 1, EventPico: "7", BatchPico: "7", RollupPico: "7"}) {
				err = errors.Join(errors.New("not one's own month"), err)
			}
			return c, err
		}},
		"PeriodState": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.PeriodState(mine.month) }},
		"Plans":       {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Plans(500); return text(rows), err }},
		"PlanGrid": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			grid, err := tx.PlanGrid(mine.plan(1, id.Change{}))
			if len(grid) != 1 || grid[mine.node] != mine.grid()[mine.node] {
				err = errors.Join(errors.New("not one's own plan"), err)
			}
			return len(grid), err
		}},
		"PlanMonth": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			amounts, err := tx.PlanMonth(1, mine.month)
			if len(amounts) != 1 || amounts[mine.node] != 700 {
				err = errors.Join(errors.New("not one's own plan"), err)
			}
			return len(amounts), err
		}},
		"Classes": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			rows, err := tx.Classes(mine.month, mine.month.End(), nil)
			if other, err := tx.Classes(mine.month, mine.month.End(), []id.Node{theirs.node}); err != nil || len(other) > 0 {
				return nil, errors.Join(errors.New("classes of another tenant's node"), err)
			}
			return text(rows), err
		}},
		"PostedDays": {own, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			rows, err := tx.PostedDays(mine.month, mine.month, nil)
			if err != nil || len(rows) != 1 || rows[0].ChargePico != "7" {
				return nil, errors.Join(errors.New("not one's own days"), err)
			}
			if other, err := tx.PostedDays(mine.month, mine.month, []id.Node{theirs.node}); err != nil || len(other) > 0 {
				return nil, errors.Join(errors.New("days of another tenant's node"), err)
			}
			return text(rows), err
		}},
		"Months": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			months, err := tx.Months(500)
			return len(months), err
		}},
		"LogEnd": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			last, waiting, err := tx.LogEnd()
			if last != 7 || waiting != 1 {
				err = errors.Join(fmt.Errorf("not one's own log: %d, %d", last, waiting), err)
			}
			return waiting, err
		}},
		"LatestBatch": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return many(tx.LatestBatch()) }},
	})
	return all
}

// text prints rows with their bytes as text, so that marks in them are found.
func text(rows any) string {
	encoded, _ := json.Marshal(rows)
	var out strings.Builder
	out.Write(encoded)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() { //nolint:exhaustive // leaves that are no bytes are in the JSON
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Uint8 {
				out.Write(v.Bytes())
				return
			}
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		}
	}
	walk(reflect.ValueOf(rows))
	return out.String()
}
