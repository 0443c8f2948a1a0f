package app_test

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/simulator/issuer"
)

const freshPolicy = `{"code":"signed","kinds":["prices"],"fresh_sign_in":true,` + oneStep + `}`

// idp is the local issuer whose key the test holds, too.
type idp struct {
	house  *house
	issuer app.Issuer
	jwks   []byte
	key    *rsa.PrivateKey
	kid    string
}

func (h *house) idp(t *testing.T, c *company) *idp {
	t.Helper()
	return h.idpIn(t, c, t.TempDir())
}

func (h *house) idpIn(t *testing.T, c *company, dir string) *idp {
	t.Helper()
	made, err := issuer.New(issuer.Config{URL: "https://idp.test", Dir: dir, ClientID: "tollbook", ClientSecret: "s", Now: h.clock.now})
	require.NoError(t, err)
	answer := httptest.NewRecorder()
	made.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/jwks", nil))
	p := &idp{house: h, jwks: answer.Body.Bytes()}
	raw, err := os.ReadFile(filepath.Join(dir, "issuer-key.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(raw)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	p.key = key.(*rsa.PrivateKey)
	var set struct{ Keys []struct{ Kid string } }
	require.NoError(t, json.Unmarshal(p.jwks, &set))
	p.kid = set.Keys[0].Kid
	require.NoError(t, h.signIns.SetIssuer(t.Context(), c.who, app.Issuer{Name: "Test issuer", URL: "https://idp.test", ClientID: "tollbook", Secret: secret.NewText("s")}, "to test"))
	issuers, err := h.signIns.Issuers(t.Context(), c.tenant)
	require.NoError(t, err)
	p.issuer = issuers[0]
	return p
}

// went is a person on the way to their issuer.
type went struct {
	state, nonce string
	decision     id.Decision
	at           time.Time
}

func (p *idp) ask(t *testing.T, who app.Actor, change app.ChangeView) (went, error) {
	t.Helper()
	w := went{at: p.house.clock.now()}
	var err error
	w.decision, err = p.house.approvals.AskIssuer(t.Context(), who, change.ID, app.Ruling{Ruling: approval.Ruling{Verdict: approval.VerdictApprove, Seen: change.Digest, Reason: "as the order form says"}}, p.issuer, p.jwks,
		func(state, nonce string) ([]byte, error) {
			w.state, w.nonce = state, nonce
			return []byte("ticket"), nil
		})
	return w, err
}

func (p *idp) claims(subject string, w went) map[string]any {
	now := p.house.clock.now()
	return map[string]any{
		"iss": "https://idp.test", "sub": subject, "aud": "tollbook", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "auth_time": now.Unix(), "nonce": w.nonce,
		"name": "Somebody", "email": "somebody@one.test",
	}
}

// sign makes a token as an issuer would, or as a forger.
func (p *idp) sign(t *testing.T, claims map[string]any, change map[string]any, algorithm, kid string, key *rsa.PrivateKey) string {
	t.Helper()
	whole := maps.Clone(claims)
	for name, value := range change {
		if whole[name] = value; value == nil {
			delete(whole, name)
		}
	}
	part := func(v any) string {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := part(map[string]string{"alg": algorithm, "kid": kid, "typ": "JWT"}) + "." + part(whole)
	sum := sha256.Sum256([]byte(signed))
	var signature []byte
	switch algorithm {
	case "RS256":
		var err error
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		require.NoError(t, err)
	case "HS256":
		mac := hmac.New(sha256.New, p.key.N.Bytes())
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (p *idp) token(t *testing.T, subject string, w went, change map[string]any) string {
	t.Helper()
	return p.sign(t, p.claims(subject, w), change, "RS256", p.kid, p.key)
}

func (p *idp) back(t *testing.T, who app.Actor, w went, token string) error {
	t.Helper()
	_, err := p.house.approvals.Confirm(t.Context(), who, w.state, func(asked app.Asked) (app.Answer, error) {
		require.Equal(t, "ticket", string(asked.Ticket))
		require.Equal(t, w.decision, asked.Decision)
		return app.Answer{Token: token, Keys: p.jwks}, nil
	})
	return err
}

// signed is a house where prices are approved with a fresh sign-in.
func signed(t *testing.T) (h *house, p *idp, fin, cfo app.Actor) {
	t.Helper()
	h = build(t)
	p, fin, cfo = h.signs(t)
	return h, p, fin, cfo
}

func (h *house) signs(t *testing.T) (p *idp, fin, cfo app.Actor) {
	t.Helper()
	fin, cfo = h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.adopt(t, fin, cfo, freshPolicy)
	return h.idp(t, h.one), fin, cfo
}

func TestAnApprovalIsConfirmedByTheIssuer(t *testing.T) {
	t.Parallel()
	h, p, fin, cfo := signed(t)
	change := h.propose(t, fin, discount(1000))
	_, err := h.approveChange(t, cfo, change)
	require.ErrorIs(t, err, app.ErrFresh, "nobody approves it without")
	bulk, err := h.approvals.RuleAll(t.Context(), cfo, []app.Choice{{Change: change.ID, Seen: change.Digest}}, approval.VerdictApprove, "all")
	require.NoError(t, err)
	require.ErrorIs(t, bulk[0].Err, app.ErrFresh)
	require.EqualValues(t, 2, h.records(t, h.one.tenant, "change.decision_refused"))

	w, err := p.ask(t, cfo, change)
	require.NoError(t, err)
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "issuer.keys"), "the key set is in the log before")
	waits, err := h.approvals.Decision(t.Context(), cfo, w.decision)
	require.NoError(t, err)
	require.Equal(t, app.DecisionAsked, waits.State)
	require.Equal(t, "ticket", string(waits.Ticket))
	others, err := h.approvals.Decision(t.Context(), fin, w.decision)
	require.NoError(t, err)
	require.Empty(t, others.Ticket, "only who decides goes to the issuer")
	require.EqualValues(t, 1, h.version(t, h.one), "nothing is decided by asking")

	h.clock.add(time.Minute)
	require.NoError(t, p.back(t, cfo, w, p.token(t, "cfo", w, nil)))
	require.EqualValues(t, 2, h.version(t, h.one))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "issuer.keys"))
	done, err := h.approvals.Decision(t.Context(), fin, w.decision)
	require.NoError(t, err)
	require.Equal(t, app.DecisionConfirmed, done.State)
	require.Equal(t, "cfo", done.Who.Name)
	require.Equal(t, p.kid, done.Proof.KeyID)
	require.Equal(t, approval.StateApplied, done.Change.State)
	proof, err := h.approvals.DecisionEvidence(t.Context(), cfo, w.decision)
	require.NoError(t, err)
	require.Contains(t, string(proof.Claims), w.nonce)
	require.NotContains(t, string(proof.Document), "cfo", "a document names nobody")

	// The other company sees nothing of it, nor anybody with its state.
	theirs := h.person(t, h.two, app.RoleFinanceAdmin, "fin")
	_, err = h.approvals.Decision(t.Context(), theirs, w.decision)
	require.ErrorIs(t, err, db.ErrDecisionAbsent)
	require.ErrorIs(t, p.back(t, theirs, w, "x"), db.ErrDecisionAbsent)
	require.ErrorIs(t, p.back(t, cfo, went{state: w.state + "x"}, "x"), db.ErrDecisionAbsent)

	// A rejection needs none.
	other := h.propose(t, fin, discount(1500))
	_, err = h.ruleFor(t, cfo, other, approval.VerdictReject, id.Member{})
	require.NoError(t, err)
}

// TestWhatDoesNotConfirmIsRefusedAndRecorded forges everything about what comes back.
func TestWhatDoesNotConfirmIsRefusedAndRecorded(t *testing.T) {
	t.Parallel()
	h, p, fin, cfo := signed(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	change := h.propose(t, fin, discount(1000))
	var earlier went
	for _, c := range []struct {
		name, code string
		token      func(w went) string
	}{
		{"another account", "decision_subject", func(w went) string { return p.token(t, "fin", w, nil) }},
		{"seen before it was asked", "decision_stale", func(w went) string {
			return p.token(t, "cfo", w, map[string]any{"auth_time": w.at.Add(-11 * time.Second).Unix()})
		}},
		{"not seen yet", "decision_stale", func(w went) string {
			return p.token(t, "cfo", w, map[string]any{"auth_time": w.at.Add(time.Hour).Unix()})
		}},
		{"not said when", "auth_time_missing", func(w went) string { return p.token(t, "cfo", w, map[string]any{"auth_time": nil}) }},
		{"another decision's nonce", "decision_nonce", func(w went) string { return p.token(t, "cfo", w, map[string]any{"nonce": earlier.nonce}) }},
		{"no nonce", "decision_nonce", func(w went) string { return p.token(t, "cfo", w, map[string]any{"nonce": nil}) }},
		{"another issuer", "decision_issuer", func(w went) string { return p.token(t, "cfo", w, map[string]any{"iss": "https://evil.test"}) }},
		{"another client", "decision_audience", func(w went) string { return p.token(t, "cfo", w, map[string]any{"aud": "somebody-else"}) }},
		{"two clients, made for the other", "decision_audience", func(w went) string {
			return p.token(t, "cfo", w, map[string]any{"aud": []string{"tollbook", "other"}, "azp": "other"})
		}},
		{"expired", "decision_token_expired", func(w went) string { return p.token(t, "cfo", w, map[string]any{"exp": w.at.Unix()}) }},
		{"no expiry", "decision_token_expired", func(w went) string { return p.token(t, "cfo", w, map[string]any{"exp": nil}) }},
		{"no algorithm", "decision_algorithm", func(w went) string { return p.sign(t, p.claims("cfo", w), nil, "none", p.kid, nil) }},
		{"the public key as a secret", "decision_algorithm", func(w went) string { return p.sign(t, p.claims("cfo", w), nil, "HS256", p.kid, nil) }},
		{"a key that is not in the set", "decision_key", func(w went) string { return p.sign(t, p.claims("cfo", w), nil, "RS256", "other", stranger) }},
		{"a stranger's key under that name", "decision_signature", func(w went) string { return p.sign(t, p.claims("cfo", w), nil, "RS256", p.kid, stranger) }},
		{"no token", "decision_token", func(went) string { return "" }},
		{"not a token", "decision_token", func(went) string { return "a.b.c" }},
	} {
		w, err := p.ask(t, cfo, change)
		require.NoError(t, err)
		before := h.records(t, h.one.tenant, "change.decision_refused")
		require.Equal(t, c.code, fault.From(p.back(t, cfo, w, c.token(w))).Code, c.name)
		require.Equal(t, before+1, h.records(t, h.one.tenant, "change.decision_refused"), c.name)
		require.Equal(t, c.code, h.text(t, `select convert_from(canonical, 'UTF8')::jsonb -> 'detail' ->> 'code' from audit_record where action = 'change.decision_refused' order by recorded_at desc limit 1`), c.name)
		view, err := h.approvals.Decision(t.Context(), cfo, w.decision)
		require.NoError(t, err)
		require.Equal(t, app.DecisionRefused, view.State)
		require.Equal(t, c.code, view.Refused)
		require.NotEmpty(t, app.DecisionWords(c.code), c.code)
		require.Equal(t, "decision_used", fault.From(p.back(t, cfo, w, p.token(t, "cfo", w, nil))).Code, "refused once is refused for good: %s", c.name)
		require.EqualValues(t, 1, h.version(t, h.one), c.name)
		earlier = w
	}
	require.EqualValues(t, 0, h.number(t, `select count(*) from change_vote where change_id = $1`, change.ID))
}

func TestADecisionIsForWhoItWasAskedAndForItsContent(t *testing.T) {
	t.Parallel()
	h, p, fin, cfo := signed(t)
	change := h.propose(t, fin, discount(1000))
	code := func(err error) string { return fault.From(err).Code }

	// Another member, even one who may approve, and even with a token of their own.
	third := h.person(t, h.one, app.RoleController, "third")
	w, err := p.ask(t, cfo, change)
	require.NoError(t, err)
	require.Equal(t, "decision_session", code(p.back(t, third, w, p.token(t, "third", w, nil))))

	// Too late, by a second.
	w, err = p.ask(t, cfo, change)
	require.NoError(t, err)
	h.clock.add(10 * time.Minute)
	require.Equal(t, "decision_expired", code(p.back(t, cfo, w, p.token(t, "cfo", w, nil))))

	// The maker, and somebody the policy does not ask, are not sent there at all.
	_, err = p.ask(t, fin, change)
	require.Equal(t, "self_approval", code(err))
	_, err = p.ask(t, h.person(t, h.one, app.RoleAuditor, "aud"), change)
	require.Equal(t, "not_allowed", code(err))
	// And who was suspended meanwhile has no session; who lost the role is refused at the end.
	w, err = p.ask(t, cfo, change)
	require.NoError(t, err)
	h.superuser(t, `delete from member_role where tenant_id = $1 and member_id = $2`, cfo.Tenant, cfo.Member)
	require.Equal(t, "not_allowed", code(p.back(t, cfo, w, p.token(t, "cfo", w, nil))))
	require.EqualValues(t, 1, h.version(t, h.one))

	// The issuer was retired meanwhile; it does not answer.
	w, err = p.ask(t, third, change)
	require.NoError(t, err)
	_, err = h.approvals.Confirm(t.Context(), third, w.state, func(app.Asked) (app.Answer, error) {
		return app.Answer{}, fault.New(fault.KindUnavailable, "issuer_unavailable", "away")
	})
	require.Equal(t, "issuer_unavailable", code(err))
	view, err := h.approvals.Decision(t.Context(), third, w.decision)
	require.NoError(t, err)
	require.Equal(t, "issuer_unavailable", view.Refused)
	w, err = p.ask(t, third, change)
	require.NoError(t, err)
	h.exec(t, `update issuer set retired_at = $2 where tenant_id = $1`, h.one.tenant, h.clock.now())
	require.Equal(t, "decision_issuer_gone", code(p.back(t, third, w, p.token(t, "third", w, nil))))
	require.EqualValues(t, 1, h.version(t, h.one))
}

func TestAnEditWhileSomebodySignsInVoidsTheirDecision(t *testing.T) {
	t.Parallel()
	h, _, fin, cfo := signed(t)
	more := strings.Replace(freshPolicy, `["prices"]`, `["prices","policies"]`, 1)
	h.adopt(t, fin, cfo, more)
	change := h.propose(t, fin, policy(`{"code":"signed","kinds":["prices"],`+oneStep+`}`))
	require.True(t, change.Terms.Policy.FreshSignIn)
	p := h.idp(t, h.one)
	w, err := p.ask(t, cfo, change)
	require.NoError(t, err)
	edited, err := h.approvals.Revise(t.Context(), fin, change.ID, change.Digest, policy(`{"code":"other","kinds":["prices"],`+oneStep+`}`))
	require.NoError(t, err)
	require.Equal(t, "digest_changed", fault.From(p.back(t, cfo, w, p.token(t, "cfo", w, nil))).Code)
	w, err = p.ask(t, cfo, edited)
	require.NoError(t, err)
	require.NoError(t, p.back(t, cfo, w, p.token(t, "cfo", w, nil)))
}

func TestWithoutALogKeyNoSuchDecisionIsMade(t *testing.T) {
	t.Parallel()
	h, p, fin, cfo := signed(t)
	change := h.propose(t, fin, discount(1000))
	w, err := p.ask(t, cfo, change)
	require.NoError(t, err)
	h.approvals.SignBy(nil)
	require.Equal(t, "decision_unsigned", fault.From(p.back(t, cfo, w, p.token(t, "cfo", w, nil))).Code)
	_, err = p.ask(t, cfo, change)
	require.Equal(t, "decision_unsigned", fault.From(err).Code)
	require.Contains(t, err.Error(), "TOLLBOOK_LOG_KEY")
	_, err = h.ruleFor(t, cfo, change, approval.VerdictReject, id.Member{})
	require.NoError(t, err)
}

// TestTheDatabaseHoldsToAFreshSignInToo is for code that forgets to ask.
func TestTheDatabaseHoldsToAFreshSignInToo(t *testing.T) {
	t.Parallel()
	h, _, fin, cfo := signed(t)
	change := h.propose(t, fin, discount(1000))
	err := h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		return tx.AddVote(db.VoteRow{ChangeID: change.ID, VoteID: id.NewVote(tx.Now), MemberID: cfo.Member, PersonID: cfo.Person, Digest: change.Digest[:], Basis: "second_person", Reason: "x"})
	})
	require.ErrorContains(t, err, "TB004")
}

// exported is an export of the log, unpacked, with what checks it.
type exported struct {
	fstest.MapFS
	keys          []string
	first, second *idp // the issuer before and after it changed its keys
}

func independent(t *testing.T, list ...*idp) confirmation.Independent {
	t.Helper()
	var text []string
	for _, p := range list {
		text = append(text, strings.Replace(string(p.jwks), "{", `{"issuer":"https://idp.test",`, 1))
	}
	sets, err := confirmation.ReadIndependent([]byte("[" + strings.Join(text, ",") + "]"))
	require.NoError(t, err)
	return sets
}

// confirmedExport is an export with two confirmed decisions, the second after the issuer
// changed its keys, unpacked; from is where it begins.
func confirmedExport(t *testing.T) exported {
	t.Helper()
	h, first, fin, cfo := signed(t)
	approve := func(p *idp, bps int64) {
		h.clock.add(time.Hour)
		w, err := p.ask(t, cfo, h.propose(t, fin, discount(bps)))
		require.NoError(t, err)
		require.NoError(t, p.back(t, cfo, w, p.token(t, "cfo", w, nil)))
	}
	approve(first, 1000)
	h.clock.add(24 * time.Hour)
	from := h.clock.now()
	approve(first, 1100) // with a key set from before the export begins
	second := h.idp(t, h.one)
	approve(second, 1200)
	require.EqualValues(t, 2, h.records(t, h.one.tenant, "issuer.keys"))
	h.place(t, h.one)
	var packed bytes.Buffer
	require.NoError(t, h.log.Export(t.Context(), cfo, app.LogExport{From: from, To: from.Add(24 * time.Hour)}, &packed))
	archive, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	require.NoError(t, err)
	whole := fstest.MapFS{}
	for _, f := range archive.File {
		text, err := fs.ReadFile(archive, f.Name)
		require.NoError(t, err)
		whole[f.Name] = &fstest.MapFile{Data: text}
	}
	view, err := h.log.Read(t.Context(), cfo, app.LogQuery{})
	require.NoError(t, err)
	require.Len(t, view.State.Keys, 2, "one for heads, one for decisions")
	check, err := h.log.Verify(t.Context(), h.one.tenant)
	require.NoError(t, err)
	require.True(t, check.Good, check.Why)
	return exported{whole, view.State.Keys, first, second}
}

// TestTheDailyCheckLooksAtEvidenceToo tampers as a superuser with what a decision rests on.
func TestTheDailyCheckLooksAtEvidenceToo(t *testing.T) {
	t.Parallel()
	h, p, fin, cfo := signed(t)
	w, err := p.ask(t, cfo, h.propose(t, fin, discount(1000)))
	require.NoError(t, err)
	require.NoError(t, p.back(t, cfo, w, p.token(t, "cfo", w, nil)))
	h.place(t, h.one)
	check := func(why string) {
		t.Helper()
		found, err := h.log.Verify(t.Context(), h.one.tenant)
		require.NoError(t, err)
		require.Equal(t, why == "", found.Good, found.Why)
		require.Contains(t, found.Why, why)
	}
	check("")
	for why, statement := range map[string]string{
		"the signature of its decision is not":    `update decision_confirmation set signature = signature || 'x'`,
		"the ID token of its decision cannot":     `update decision_confirmation set token_sealed = token_sealed || 'x'`,
		"the document of its decision is not":     `update decision_document set document = document || ' ', digest = sha256(document || ' ')`,
		"the key set of its decision is not":      `update issuer_key_set set document = document || ' '`,
		"the evidence of its decision is missing": `delete from decision_confirmation`,
	} {
		h.superuser(t, `create table kept_c as select * from decision_confirmation`)
		h.superuser(t, `create table kept_d as select * from decision_document`)
		h.superuser(t, `create table kept_k as select * from issuer_key_set`)
		h.superuser(t, `alter table issuer_key_set drop constraint if exists issuer_key_set_check`)
		h.superuser(t, statement)
		check(why)
		h.superuser(t, `delete from decision_confirmation`)
		h.superuser(t, `delete from decision_document`)
		h.superuser(t, `delete from issuer_key_set`)
		h.superuser(t, `insert into issuer_key_set select * from kept_k`)
		h.superuser(t, `insert into decision_document select * from kept_d`)
		h.superuser(t, `insert into decision_confirmation select * from kept_c`)
		h.superuser(t, `drop table kept_c, kept_d, kept_k`)
	}
	check("")
}

// TestEvidenceOutlivesTheMasterKey replaces it as a whole: what is kept for years and never
// written again is opened by the tenant's own key.
func TestEvidenceOutlivesTheMasterKey(t *testing.T) {
	t.Parallel()
	h := empty(t)
	old, fresh := secret.NewMaster(), secret.NewMaster()
	before, err := secret.NewKeyring(old)
	require.NoError(t, err)
	h.wire(t, before)
	h.one = h.company(t, "one")
	p, fin, cfo := h.signs(t)
	w, err := p.ask(t, cfo, h.propose(t, fin, discount(1000)))
	require.NoError(t, err)
	require.NoError(t, p.back(t, cfo, w, p.token(t, "cfo", w, nil)))
	h.place(t, h.one)
	alone, err := secret.NewKeyring(secret.NewText("2:" + fresh.Reveal()))
	require.NoError(t, err)
	for _, ring := range []*secret.Keyring{rotated(t, old, fresh), alone} {
		h.wire(t, ring)
		require.NoError(t, h.tenants.Renew(t.Context()))
		check, err := h.log.Verify(t.Context(), h.one.tenant)
		require.NoError(t, err)
		require.True(t, check.Good, check.Why)
	}
}

func inspect(bundle fs.FS, keys []string, independent confirmation.Independent) (*confirmation.Inspector, error) {
	i, err := confirmation.NewInspector(bundle, keys, independent)
	if err != nil {
		return nil, err
	}
	if _, err = auditlog.Check(bundle, keys, i.Look); err == nil {
		err = i.End()
	}
	return i, err
}

func TestAnExportProvesConfirmedDecisions(t *testing.T) {
	t.Parallel()
	out := confirmedExport(t)
	whole, keys, first, second := out.MapFS, out.keys, out.first, out.second
	i, err := inspect(whole, nil, nil)
	require.NoError(t, err)
	require.Len(t, i.Decisions, 2)
	require.True(t, i.OwnKey)
	i, err = inspect(whole, keys, independent(t, first, second))
	require.NoError(t, err)
	require.False(t, i.OwnKey)
	for _, d := range i.Decisions {
		require.Equal(t, confirmation.Agrees, d.Keys)
		require.NotEqual(t, d.KeyID, i.Decisions[0].Record)
	}
	_, err = inspect(whole, keys, independent(t, first))
	require.ErrorContains(t, err, "do not hold key")
	strangers := independent(t, first, second)
	strangers[1].Keys[0].Kid, strangers[0].Keys[0].Kid = strangers[0].Keys[0].Kid, strangers[1].Keys[0].Kid
	_, err = inspect(whole, keys, strangers)
	require.ErrorContains(t, err, "is not that issuer's")
	require.Contains(t, string(whole[auditlog.FileReadme].Data), "No witness is configured")
}

// TestTamperedEvidenceNamesTheFirstBadRecord alters what decisions rest on.
func TestTamperedEvidenceNamesTheFirstBadRecord(t *testing.T) {
	t.Parallel()
	out := confirmedExport(t)
	whole, keys := out.MapFS, out.keys
	var decisions, sets []string
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		if strings.HasSuffix(name, "/token.jwt") {
			decisions = append(decisions, strings.TrimSuffix(name, "token.jwt"))
		}
		if strings.HasPrefix(name, "issuer-keys/") && strings.HasSuffix(name, confirmation.SuffixKeys) && !strings.HasSuffix(name, confirmation.SuffixRecord) {
			sets = append(sets, name)
		}
	}
	require.Len(t, decisions, 2)
	require.Len(t, sets, 2)
	good, err := inspect(whole, keys, nil)
	require.NoError(t, err)
	one, two := decisions[0], decisions[1] // in the order of their ids, which is that of the records
	edit := func(name, old, with string) func(fstest.MapFS) {
		return func(b fstest.MapFS) {
			require.Contains(t, string(b[name].Data), old)
			b[name] = &fstest.MapFile{Data: []byte(strings.Replace(string(b[name].Data), old, with, 1))}
		}
	}
	var earlier string
	for name := range whole {
		if base, found := strings.CutSuffix(name, confirmation.SuffixProof); found {
			earlier = base
		}
	}
	require.NotEmpty(t, earlier)
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		bad    int // which decision; -1: about no record
		why    string
	}{
		"token altered":           {edit(one+"token.jwt", "e", "f"), 0, "ID token in"},
		"token of the other":      {func(b fstest.MapFS) { b[one+"token.jwt"] = b[two+"token.jwt"] }, 0, "ID token in"},
		"token removed":           {func(b fstest.MapFS) { delete(b, two+"token.jwt") }, 1, "token.jwt is missing"},
		"document altered":        {edit(two+"document.json", `"step":0`, `"step":1`), 1, "document in"},
		"document of the other":   {func(b fstest.MapFS) { b[one+"document.json"] = b[two+"document.json"] }, 0, "document in"},
		"document removed":        {func(b fstest.MapFS) { delete(b, one+"document.json") }, 0, "document.json is missing"},
		"signature of the other":  {func(b fstest.MapFS) { b[one+"signature.txt"] = b[two+"signature.txt"] }, 0, "signature by Tollbook in"},
		"signature removed":       {func(b fstest.MapFS) { delete(b, one+"signature.txt") }, 0, "signature.txt is missing"},
		"key sets swapped":        {func(b fstest.MapFS) { b[sets[0]], b[sets[1]] = b[sets[1]], b[sets[0]] }, 0, "key set in"},
		"key set removed":         {func(b fstest.MapFS) { delete(b, earlier+".json") }, 0, "key set: "},
		"key set's record":        {edit(earlier+".record.json", `"system"`, `"sistem"`), 0, "is not proved"},
		"key set's record gone":   {func(b fstest.MapFS) { delete(b, earlier+".record.json") }, 0, "record.json is missing"},
		"key set's proof":         {edit(earlier+".tlog-proof", "index ", "index 1"), 0, "is not proved"},
		"a decision of no record": {func(b fstest.MapFS) { b["decisions/dcn_x/token.jwt"] = b[one+"token.jwt"] }, -1, "belongs to no decision"},
	} {
		bundle := maps.Clone(whole)
		c.change(bundle)
		_, err := inspect(bundle, keys, nil)
		var finding *auditlog.FindingError
		require.ErrorAs(t, err, &finding, name)
		require.Contains(t, finding.Error(), c.why, name)
		want := int64(-1)
		if c.bad >= 0 {
			want = good.Decisions[c.bad].Sequence
		}
		require.Equal(t, want, finding.Sequence, "%s: %s", name, finding.Error())
	}
}
