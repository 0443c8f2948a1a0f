package web

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"tollbook/web/api"
)

// Route is one method and path, and who may.
type Route struct {
	Method, Path string
	// Object and Action are what a role must allow. Both empty: anybody, or anybody
	// signed in when SignedIn says so.
	Object, Action string
	SignedIn       bool
	Token          bool // by API token, not by session
	Operator       bool // for who operates the installation, whatever the role
	serve          echo.HandlerFunc
}

// pages is every page there is.
func (w *Web) pages() []Route {
	list := []Route{
		w.page(http.MethodGet, "/", w.showChargeback, "chargeback", "read"),
		w.page(http.MethodGet, "/chargeback.csv", w.exportChargeback, "chargeback", "read"),
		w.page(http.MethodGet, "/requests", w.showRequests, "usage", "read"),
		w.page(http.MethodGet, "/requests.csv", w.exportRequests, "usage", "read"),
		w.page(http.MethodGet, retagPath, w.askRetag, "retag", "propose"),
		w.page(http.MethodPost, retagPath, w.writeRetag, "retag", "propose"),
		w.page(http.MethodGet, "/requests/:id", w.showRequest, "usage", "read"),
		w.page(http.MethodGet, "/sessions", w.showSessions, "usage", "read"),
		w.page(http.MethodGet, "/sessions.csv", w.exportSessions, "usage", "read"),
		w.page(http.MethodGet, "/sessions/:id", w.showSession, "usage", "read"),
		w.page(http.MethodGet, "/sessions/:id/turns.csv", w.exportSession, "usage", "read"),
		w.page(http.MethodGet, "/explore", w.showExplore, "usage", "read"),
		w.page(http.MethodGet, "/explore.csv", w.exportExplore, "usage", "read"),
		w.page(http.MethodPost, "/explore/views", w.saveView, "view", "propose"),
		w.page(http.MethodPost, "/explore/views/:id/remove", w.removeView, "view", "propose"),
		w.page(http.MethodPost, "/explore/tags", w.declareTags, "tag", "propose"),
		w.page(http.MethodGet, "/search", w.showSearch, "usage", "read"),
		w.page(http.MethodGet, livePath, w.live, "usage", "read"),
		w.page(http.MethodGet, "/nodes/:node", w.showNode, "chargeback", "read"),
		w.page(http.MethodGet, "/nodes/:node/months.csv", w.exportNode, "chargeback", "read"),
		w.page(http.MethodGet, "/keys", w.showKeys, "key", "read"),
		w.page(http.MethodGet, "/keys.csv", w.exportKeys, "key", "read"),
		w.page(http.MethodPost, "/keys", w.createKey, "key", "propose"),
		w.page(http.MethodGet, "/keys/new", w.askKey, "key", "propose"),
		w.page(http.MethodGet, "/keys/rights", w.showRights, "key", "read"),
		w.page(http.MethodPost, "/keys/rights", w.giveRight, "key", "propose"),
		w.page(http.MethodGet, "/keys/rights/:id/end", w.confirmEndRight, "key", "propose"),
		w.page(http.MethodPost, "/keys/rights/:id/end", w.endRight, "key", "propose"),
		w.page(http.MethodGet, "/keys/:id", w.showKey, "key", "read"),
		w.page(http.MethodGet, "/keys/:id/rotate", w.askRotate, "key", "propose"),
		w.page(http.MethodPost, "/keys/:id/rotate", w.rotateKey, "key", "propose"),
		w.page(http.MethodGet, "/keys/:id/revoke", w.confirmRevoke, "key", "propose"),
		w.page(http.MethodPost, "/keys/:id/revoke", w.revokeKey, "key", "propose"),
		w.page(http.MethodGet, "/connect", w.showConnect, "", ""),
		w.page(http.MethodGet, "/connect/first", w.showArrival, "", ""),
		w.page(http.MethodGet, "/connect/logins", w.showLogins, "login", "begin"),
		w.page(http.MethodPost, "/connect/logins/:id/end", w.endLogin, "login", "begin"),
		w.page(http.MethodGet, "/device", w.askDevice, "login", "begin"),
		w.page(http.MethodPost, "/device", w.decideDevice, "login", "begin"),
		w.page(http.MethodGet, "/login/:slug", w.askLogin, "login", "begin"),
		w.page(http.MethodPost, "/login/:slug", w.allowLogin, "login", "begin"),
		machine("/oauth/token", w.giveToken, w),
		machine("/oauth/device_authorization", w.beginDevice, w),
		machine("/oauth/status", w.loginStatus, w),
		machine("/oauth/switch", w.switchLogin, w),
		machine("/oauth/end", w.leaveLogin, w),
		w.page(http.MethodGet, "/prices", w.showPrices, "price", "read"),
		w.page(http.MethodGet, "/prices.csv", w.exportPrices, "price", "read"),
		w.page(http.MethodPost, "/prices/discount", w.proposeDiscount, "price", "propose"),
		w.page(http.MethodGet, "/prices/changes/:id", w.showProposal, "price", "read"),
		w.page(http.MethodGet, "/chargeback/movement", w.showMovement, "chargeback", "read"),
		w.page(http.MethodGet, "/chargeback/movement.csv", w.exportMovement, "chargeback", "read"),
		w.page(http.MethodGet, "/plan", w.showPlan, "plan", "read"),
		w.page(http.MethodGet, "/plan.csv", w.exportPlan, "plan", "read"),
		w.page(http.MethodGet, "/plan/edit", w.editPlan, "plan", "propose"),
		w.page(http.MethodGet, "/plan/import", w.importPlan, "plan", "propose"),
		w.page(http.MethodPost, "/plan/check", w.checkPlan, "plan", "propose"),
		w.page(http.MethodPost, "/plan", w.approvePlan, "plan", "propose"),
		w.page(http.MethodPost, "/sign-out", w.signOut, "", ""),
		door("/join/:code", w.showInvitation),
		door("/sign-in", w.showDoors),
		door("/sign-in/callback", w.finishSignIn),
		door("/sign-in/callback/:company", w.finishSignIn),
		door("/sign-in/:slug", w.showDoor),
		door("/sign-in/:slug/:issuer", w.startSignIn),
		door("/problems/:code", w.showProblem),
		door("/t/:slug", w.goToCompany),
		door("/t/:slug/*", w.goToCompany),
	}
	list = slices.Concat(list, w.peoplePages(), w.settingsPages(), w.operatorPages(), w.setUpPages(), w.signUpPages(), w.logPages(), w.rulePages(), w.changePages(), w.confirmPages(), w.nodePages(), w.bookPages())
	if w.cfg.Development {
		list = append(list, door("/_gallery", w.showGallery))
	}
	return list
}

// bookPages are the pages of the books.
func (w *Web) bookPages() []Route {
	return slices.Concat(w.journalPages(), w.invoicePages(), w.exportPages(), w.reconciliationPages(), w.closePages(), w.packetPages(), w.notePages())
}

// peoplePages are the pages of members, their tokens and one's own sessions.
func (w *Web) peoplePages() []Route {
	return []Route{
		w.page(http.MethodGet, "/members", w.showMembers, "member", "read"),
		w.page(http.MethodGet, "/members.csv", w.exportMembers, "member", "read"),
		w.page(http.MethodPost, "/members/invitations", w.invite, "member", "propose"),
		w.page(http.MethodPost, "/members/invitations/:id/withdraw", w.withdrawInvitation, "member", "propose"),
		w.page(http.MethodGet, "/members/changes/:id", w.showPeopleChange, "member", "read"),
		w.page(http.MethodGet, "/members/groups", w.showGroups, "member", "read"),
		w.page(http.MethodPost, "/members/groups", w.mapGroup, "member", "propose"),
		w.page(http.MethodPost, "/members/groups/:id/end", w.unmapGroup, "member", "propose"),
		w.page(http.MethodGet, "/members/issuers", w.showIssuers, "issuer", "read"),
		w.page(http.MethodPost, "/members/issuers", w.addIssuer, "issuer", "propose"),
		w.page(http.MethodPost, "/members/issuers/:id/retire", w.retireIssuer, "issuer", "propose"),
		w.page(http.MethodGet, "/members/:id", w.showMember, "member", "read"),
		w.page(http.MethodPost, "/members/:id/roles", w.changeRoles, "member", "propose"),
		w.page(http.MethodPost, "/members/:id/link", w.linkAccounts, "member", "propose"),
		w.page(http.MethodGet, "/members/:id/suspend", w.confirmSuspend, "member", "propose"),
		w.page(http.MethodPost, "/members/:id/suspend", w.suspend, "member", "propose"),
		w.page(http.MethodPost, "/members/:id/resume", w.resume, "member", "propose"),
		w.page(http.MethodGet, "/members/:id/erase", w.confirmErase, "member", "propose"),
		w.page(http.MethodPost, "/members/:id/erase", w.proposeErase, "member", "propose"),
		w.page(http.MethodGet, "/members/erasures/:id", w.showErasure, "member", "read"),
		w.page(http.MethodGet, "/members/erasures/:id/report.csv", w.exportErasure, "member", "read"),
		w.page(http.MethodGet, "/tokens", w.showTokens, "token", "read"),
		w.page(http.MethodGet, "/tokens.csv", w.exportTokens, "token", "read"),
		w.page(http.MethodPost, "/tokens", w.createToken, "token", "propose"),
		w.page(http.MethodGet, "/tokens/:id/revoke", w.confirmTokenEnd, "token", "propose"),
		w.page(http.MethodPost, "/tokens/:id/revoke", w.revokeToken, "token", "propose"),
		w.page(http.MethodGet, "/account", w.showAccount, "", ""),
		w.page(http.MethodPost, "/account/sessions/end-others", w.endOtherSessions, "", ""),
		w.page(http.MethodPost, "/account/sessions/:id/end", w.endSession, "", ""),
		w.page(http.MethodPost, "/switch", w.switchCompany, "", ""),
	}
}

// rulePages are the pages of attribution rules.
func (w *Web) rulePages() []Route {
	return []Route{
		w.page(http.MethodGet, "/rules", w.showRules, "rule", "read"),
		w.page(http.MethodGet, "/rules.csv", w.exportRules, "rule", "read"),
		w.page(http.MethodGet, "/rules/edit", w.editRules, "rule", "propose"),
		w.page(http.MethodPost, "/rules/edit", w.writeRules, "rule", "propose"),
		w.page(http.MethodGet, "/rules/replay", w.showReplay, "rule", "read"),
		w.page(http.MethodGet, "/rules/replay.csv", w.exportReplay, "rule", "read"),
		w.page(http.MethodGet, "/rules/test", w.showTest, "rule", "read"),
	}
}

// nodePages are the pages of the hierarchy and of what is proposed about it.
func (w *Web) nodePages() []Route {
	return []Route{
		w.page(http.MethodGet, "/nodes", w.showTree, "node", "read"),
		w.page(http.MethodGet, "/nodes.csv", w.exportTree, "node", "read"),
		w.page(http.MethodGet, "/nodes/change", w.askNodeChange, "node", "propose"),
		w.page(http.MethodPost, "/nodes/change", w.writeNodeChange, "node", "propose"),
		w.page(http.MethodGet, "/nodes/import", w.askNodeImport, "node", "propose"),
		w.page(http.MethodPost, "/nodes/import", w.importNodes, "node", "propose"),
	}
}

// logPages are the pages of the audit log.
func (w *Web) logPages() []Route {
	return []Route{
		w.page(http.MethodGet, "/log", w.showLog, "audit", "read"),
		w.page(http.MethodGet, "/log.csv", w.exportLog, "audit", "read"),
		w.page(http.MethodGet, "/log/export", w.askLogExport, "audit", "read"),
		w.page(http.MethodPost, "/log/export", w.sendLogExport, "audit", "read"),
		w.page(http.MethodGet, "/log/keys", w.showLogKeys, "audit", "read"),
		w.page(http.MethodGet, "/log/keys.txt", w.sendLogKeys, "audit", "read"),
		w.page(http.MethodGet, logLivePath, w.logLive, "audit", "read"),
		w.tiled("/log/tiles/tollbook/:tenant/*"),
		w.page(http.MethodGet, "/log/:id", w.showRecord, "audit", "read"),
		w.page(http.MethodGet, "/log/:id/proof", w.sendProof, "audit", "read"),
		w.page(http.MethodGet, "/log/:id/record.json", w.sendRecord, "audit", "read"),
	}
}

// changePages are the pages of changes that wait for a decision, or had one. Who decides is
// the policy's word, and theirs who stand in for somebody: no role alone says it.
func (w *Web) changePages() []Route {
	return []Route{
		w.page(http.MethodGet, "/changes", w.showChanges, "change", "read"),
		w.page(http.MethodGet, "/changes.csv", w.exportChanges, "change", "read"),
		w.page(http.MethodGet, "/changes/decide", w.askBulk, "change", "read"),
		w.page(http.MethodPost, "/changes/decide", w.decideBulk, "change", "read"),
		w.page(http.MethodGet, "/changes/policies", w.showPolicies, "policy", "read"),
		w.page(http.MethodGet, "/changes/policies/edit", w.editPolicies, "policy", "propose"),
		w.page(http.MethodPost, "/changes/policies/edit", w.savePolicies, "policy", "propose"),
		w.page(http.MethodGet, "/changes/delegations", w.showDelegations, "policy", "read"),
		w.page(http.MethodPost, "/changes/delegations", w.delegate, "delegation", "propose"),
		w.page(http.MethodPost, "/changes/delegations/:id/end", w.endDelegation, "delegation", "propose"),
		w.page(http.MethodGet, "/changes/:id", w.showCase, "change", "read"),
		w.page(http.MethodPost, "/changes/:id/decision", w.decideCase, "change", "read"),
		w.page(http.MethodPost, "/changes/:id/remarks", w.remarkCase, "change", "read"),
		w.page(http.MethodPost, "/changes/:id/edit", w.editCase, "change", "propose"),
		w.page(http.MethodPost, "/changes/:id/files", w.attachCase, "change", "propose"),
		w.page(http.MethodGet, "/changes/:id/files/:file", w.sendAttachment, "change", "read"),
	}
}

// confirmPages are the pages of decisions that an issuer confirms. Who decides is checked
// by the policy a change is held to.
func (w *Web) confirmPages() []Route {
	return []Route{
		w.page(http.MethodGet, "/changes/:id/confirm", w.askConfirmation, "change", "read"),
		w.page(http.MethodPost, "/changes/:id/confirm", w.sendToIssuer, "change", "read"),
		w.page(http.MethodGet, "/decisions/:id", w.showDecision, "change", "read"),
		w.page(http.MethodGet, "/decisions/:id/evidence.zip", w.sendEvidence, "change", "read"),
	}
}

// Routes lists every route, pages and API, for the matrix of routes and roles.
func (w *Web) Routes() []Route {
	list := w.pages()
	for _, p := range w.api.Endpoints() {
		list = append(list, Route{Method: p.Method, Path: api.Prefix + p.Path, Object: p.Object, Action: p.Action, Token: p.Object != ""})
	}
	return list
}

// door is a page for anybody.
func door(path string, serve echo.HandlerFunc) Route {
	return Route{Method: http.MethodGet, Path: path, serve: serve}
}

// page is for who is signed in; what the role must allow is checked by the area the
// handler calls, and written down here to be tested.
func (w *Web) page(method, path string, serve func(*visit) error, object, action string) Route {
	return Route{Method: method, Path: path, Object: object, Action: action, SignedIn: true, serve: w.signedIn(serve)}
}
