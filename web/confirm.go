package web

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/confirmation"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/web/oidc"
	"tollbook/web/ui"
)

// confirmForm is what was filled in to approve with a fresh sign-in, and what was wrong.
type confirmForm struct {
	trouble

	Reason, For, Digest string
}

type confirmView struct {
	Frame  ui.Frame
	Case   app.CaseView
	What   string
	Issuer string
	Form   confirmForm

	Witnesses []string // who see an issuer's keys before a decision rests on them
	May       bool     // the form is shown
	Why       string   // why not
}

// askConfirmation restates what is approved, before the person is sent to their issuer.
func (w *Web) askConfirmation(v *visit) error {
	return w.confirmPage(v, http.StatusOK, confirmForm{})
}

func (w *Web) confirmPage(v *visit, status int, form confirmForm) error {
	change, err := id.ParseChange(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	shown, err := w.areas.Approvals.Case(v.Request().Context(), v.who, change)
	if err != nil {
		return err
	}
	part, err := w.confirmPart(v, &shown)
	if err != nil {
		return err
	}
	view := &confirmView{Frame: v.frame("Approve and confirm"), Case: shown, What: changedWords(&shown.ChangeView), Form: form}
	if len(shown.Sealed) > 0 {
		view.What += " " + sealedWords(shown.Sealed) + "."
	}
	switch {
	case !shown.Open():
		view.Why = "It is " + string(shown.State) + " already: nobody decides about it any more."
	case part == nil:
		view.Why = app.ErrNotFresh.Message
	case part.Why != "":
		view.Why = part.Why
	case !shown.May.Approve && len(shown.May.For) == 0:
		view.Why = shown.May.Why
	default:
		view.May, view.Issuer = true, part.Issuer
	}
	if view.Form.Digest == "" {
		view.Form.Digest = shown.DigestText()
	}
	view.Witnesses = w.areas.Approvals.Witnesses()
	return render(v, status, confirmPage(view))
}

// confirmPart is what approving a change asks of an issuer, on the change's page.
type confirmPart struct {
	Issuer string // its name
	Why    string // why it cannot be asked; empty: it can
}

// confirmPart is nil where approving asks no issuer.
func (w *Web) confirmPart(v *visit, c *app.CaseView) (*confirmPart, error) {
	if !c.Open() || !c.Terms.Policy.FreshSignIn || v.who.Kind != app.ActorPerson {
		return nil, nil
	}
	if !w.areas.Approvals.Signs() {
		return &confirmPart{Why: app.ErrUnsigned.Message}, nil
	}
	issuer, err := w.areas.SignIns.Own(v.Request().Context(), v.who)
	if errors.Is(err, app.ErrDecisionIssuer) {
		return &confirmPart{Why: app.ErrDecisionIssuer.Message}, nil
	}
	return &confirmPart{Issuer: issuer.Name}, err
}

// changedWords says what a change does.
func changedWords(c *app.ChangeView) string {
	if c.Impact.Sentence != "" {
		return c.Impact.Sentence
	}
	return ui.Words(c.Kind)
}

// sealedWords is what is kept sealed beside a change's content, in a line.
func sealedWords(list []app.SealedFact) string {
	words := make([]string, 0, len(list))
	for _, s := range list {
		words = append(words, s.Name+" "+s.Value)
	}
	return strings.Join(words, ", ")
}

// sendToIssuer stores the decision and sends the person to their issuer with its digest.
func (w *Web) sendToIssuer(v *visit) error {
	if !v.may("change", "read") {
		return app.ErrNotAllowed
	}
	change, err := id.ParseChange(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	form := confirmForm{Reason: v.FormValue("reason"), For: v.FormValue("for"), Digest: v.FormValue("digest")}
	decision, err := w.beginDecision(v, change, form)
	kind := fault.KindOf(err)
	if err != nil && (kind == fault.KindInvalid || kind == fault.KindConflict || kind == fault.KindUnavailable) {
		f := fault.From(err)
		form.trouble = trouble{f.Message, f.Field}
		if errors.Is(err, approval.ErrDigest) {
			form.Digest = "" // what is shown next is what it is now
		}
		return w.confirmPage(v, statusOf(kind), form)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, decisionURL(decision)+"?go=1")
}

var errNoReason = fault.Invalid("reason", "reason_missing", "Say why: it is recorded with the decision.")

func decisionURL(decision id.Decision) string { return "/decisions/" + decision.String() }

func (w *Web) beginDecision(v *visit, change id.Change, form confirmForm) (id.Decision, error) {
	if !w.doors.allow(v.RealIP()) {
		return id.Decision{}, errLimited
	}
	r := app.Ruling{Ruling: approval.Ruling{Verdict: approval.VerdictApprove, Reason: strings.TrimSpace(form.Reason)}}
	if seen, err := hex.DecodeString(form.Digest); err == nil && len(seen) == len(r.Seen) {
		r.Seen = [32]byte(seen)
	}
	if form.For != "" {
		member, err := id.ParseMember(form.For)
		if err != nil {
			return id.Decision{}, app.ErrNoDelegation
		}
		r.For = member
	}
	if r.Reason == "" { // before anybody is asked
		return id.Decision{}, errNoReason
	}
	ctx := v.Request().Context()
	issuer, err := w.areas.SignIns.Own(ctx, v.who)
	if err != nil {
		return id.Decision{}, err
	}
	provider, err := w.provider(ctx, issuer, "")
	if err != nil {
		return id.Decision{}, app.ErrIssuerAway.Because(err)
	}
	keys, err := w.issuers.Keys(ctx, issuer.URL)
	if err != nil {
		return id.Decision{}, app.ErrIssuerAway.Because(err)
	}
	browser := w.browser(v)
	decision, err := w.areas.Approvals.AskIssuer(ctx, v.who, change, r, issuer, keys, func(state, nonce string) ([]byte, error) {
		session := provider.BeginFresh(state, nonce)
		session.Browser = digest(browser)
		return []byte(session.Marshal()), nil
	})
	if err == nil {
		w.setCookie(v, browserCookie, browser, browserLife)
	}
	return decision, err
}

var errDecisionSession = fault.New(fault.KindUnauthenticated, "decision_session_ended", "Your session ended while you were at your issuer. Nothing was decided: sign in, and approve again.")

// finishDecision takes a person back from their issuer and decides. However it ends, the
// decision's page says how.
func (w *Web) finishDecision(c echo.Context) error {
	ctx := c.Request().Context()
	who, err := w.areas.SignIns.BySession(ctx, secret.NewText(w.cookie(c, sessionCookie)))
	if err != nil {
		return w.refuse(c, id.Tenant{}, errDecisionSession.Because(err))
	}
	ctx = w.areas.Members.Under(ctx, who, app.ViaPage, c.RealIP())
	asked, err := w.areas.Approvals.Confirm(ctx, who, c.QueryParam("state"), func(asked app.Asked) (app.Answer, error) {
		return w.answer(c, who, asked)
	})
	if asked.Decision.IsZero() {
		return w.refuse(c, who.Tenant, err)
	}
	if err != nil {
		w.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "decision refused", slog.String("tenant", who.Tenant.String()), slog.String("decision", asked.Decision.String()), slog.Any("error", err))
		if fault.KindOf(err) == fault.KindInternal {
			return err
		}
	}
	return c.Redirect(http.StatusSeeOther, decisionURL(asked.Decision))
}

// answer is what the issuer says to what the browser brought back, and its keys now.
func (w *Web) answer(c echo.Context, who app.Actor, asked app.Asked) (app.Answer, error) {
	ctx := c.Request().Context()
	issuer, err := w.issuer(ctx, who.Tenant, asked.Issuer.String())
	if err != nil {
		return app.Answer{}, app.ErrDecisionIssuer.Because(err)
	}
	if c.Param("company") != issuer.Callback { // another issuer's answer, whatever it holds
		return app.Answer{}, app.ErrDecisionIssuer.Because(errElsewhere)
	}
	session, _, err := w.exchange(c, asked.Ticket, issuer)
	switch {
	case errors.Is(err, app.ErrSignIn):
		return app.Answer{}, app.ErrDecisionBrowser.Because(err)
	case errors.Is(err, errRefused):
		return app.Answer{}, app.ErrDecisionDeclined.Because(err)
	case errors.Is(err, errIssuer):
		return app.Answer{}, app.ErrIssuerAway.Because(err)
	case err != nil:
		return app.Answer{}, app.ErrDecisionExchange.Because(err)
	}
	keys, err := w.issuers.Keys(ctx, issuer.URL)
	if err != nil {
		return app.Answer{}, app.ErrIssuerAway.Because(err)
	}
	return app.Answer{Token: session.IDToken, Keys: keys}, nil
}

type decisionView struct {
	Frame    ui.Frame
	Decision app.DecisionView
	What     string
	Issuer   string // its name, or its address where it has none any more

	Witnesses []string // as on the page that asks
	Away      string   // where the person is confirmed; empty: nowhere any more
	Words     string   // why it was refused
	Keys      string   // the record of the issuer's key set; empty where it may not be read
	Log       string   // the records about the change; empty where they may not be read
}

// showDecision shows what becomes of a decision: it sends its person to their issuer, and
// says what came of that.
func (w *Web) showDecision(v *visit) error {
	decision, err := id.ParseDecision(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	d, err := w.areas.Approvals.Decision(v.Request().Context(), v.who, decision)
	if err != nil {
		return err
	}
	view := &decisionView{Frame: v.frame(decisionTitle(&d)), Witnesses: w.areas.Approvals.Witnesses(), Decision: d, What: changedWords(&d.Change), Words: app.DecisionWords(d.Refused)}
	if view.Issuer, err = w.issuerName(v.Request().Context(), v.who, d.Document.Issuer); err != nil {
		return err
	}
	if d.Ticket != nil {
		session, err := oidc.ReadSession(d.Ticket)
		if err != nil {
			return err
		}
		view.Away = session.AuthURL
		if v.QueryParam("go") != "" {
			view.Frame.Refresh = view.Away
		}
	}
	if v.may("audit", "read") {
		view.Log = logQuery{Subject: d.Change.ID.String()}.url("/log")
		if d.Proof != nil {
			view.Keys = "/log/" + d.Proof.KeysRecord.String()
		}
	}
	return render(v, http.StatusOK, decisionPage(view))
}

func decisionTitle(d *app.DecisionView) string {
	switch d.State {
	case app.DecisionConfirmed:
		return "Decision confirmed"
	case app.DecisionRefused:
		return "Decision refused"
	case app.DecisionExpired:
		return "Decision expired"
	case app.DecisionAsked:
	}
	return "Confirm at your issuer"
}

// decidedTitle says whether it was decided.
func decidedTitle(state app.DecisionState) string {
	if state == app.DecisionConfirmed {
		return "What was decided"
	}
	return "What was to be decided"
}

func decisionVerdict(d *app.DecisionView) string {
	words := ui.Words(d.Document.Verdict)
	if d.Step != "" {
		words += ", step “" + d.Step + "”"
	}
	return words
}

// issuerName is what people call an issuer.
func (w *Web) issuerName(ctx context.Context, who app.Actor, url string) (string, error) {
	issuers, err := w.areas.SignIns.Issuers(ctx, who.Tenant)
	if err != nil {
		return "", err
	}
	for _, one := range issuers {
		if one.URL == url {
			return one.Name, nil
		}
	}
	return url, nil
}

// sendEvidence sends what a confirmed decision rests on, as it was hashed.
func (w *Web) sendEvidence(v *visit) error {
	decision, err := id.ParseDecision(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	e, err := w.areas.Approvals.DecisionEvidence(v.Request().Context(), v.who, decision)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	file := zip.NewWriter(&packed)
	for _, part := range []struct {
		name    string
		content []byte
	}{
		{confirmation.FileDocument, e.Document},
		{confirmation.FileToken, []byte(e.Token)},
		{"claims.json", e.Claims},
		{"issuer-keys.json", e.Keys},
		{confirmation.FileSignature, e.Signature},
		{"README.txt", []byte(evidenceReadme(decision))},
	} {
		to, err := file.Create(part.name)
		if err == nil {
			_, err = to.Write(part.content)
		}
		if err != nil {
			return fmt.Errorf("pack evidence: %w", err)
		}
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("pack evidence: %w", err)
	}
	return v.file("application/zip", fmt.Sprintf("tollbook-%s-%s.zip", v.slug, decision), packed.Bytes())
}

func evidenceReadme(decision id.Decision) string {
	return strings.Join([]string{
		"Evidence of decision " + decision.String(), "",
		"document.json     what was decided: opaque ids and digests, as it was hashed",
		"token.jwt         the issuer's ID token; its nonce is the SHA-256 of document.json, in base64url",
		"claims.json       what the token says, as the issuer signed it",
		"issuer-keys.json  the issuer's key set that verifies the token, as it is in the log",
		"signature.txt     Tollbook's signature (a signed note) of the digests of the first, second and fourth", "",
		"It proves that the issuer confirmed this person, then, for this digest, if the key set is the",
		"issuer's. The issuer approved nothing, and knew no more than the digest: Tollbook signs the",
		"decision. Whether a witness outside has seen the record of the key set is in an export of the",
		"audit log, which holds the same with the proof of its place; where none has, whoever operates",
		"this installation and holds its log key could have put another one there; tollbook verify FILE.zip --issuer-keys KEYS.json checks it offline.", "",
	}, "\n")
}
