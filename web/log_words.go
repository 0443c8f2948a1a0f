package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/web/ui"
)

// logWord is a code of the audit log in words.
type logWord struct{ Code, Words string }

// logFamily is a kind of records: those whose action begins with its prefix.
type logFamily struct {
	Label   string
	Prefix  string // with its point; empty: these actions are not chosen together
	Actions []logWord
}

// logFamilies is every action there is, in words. An action that is not here is shown as
// it is; a test compares this with the code that writes records.
func logFamilies() []logFamily {
	return []logFamily{
		{"Changes", "change.", []logWord{
			{"change.proposed", "Change proposed"}, {"change.applied", "Change applied"}, {"change.rejected", "Change rejected"},
			{"change.decision_refused", "Decision refused"}, {"change.step_approved", "Step of a change approved"}, {"change.revised", "Change edited"},
			{"change.remarked", "Remark on a change"}, {"change.decision_asked", "Issuer asked to confirm a decision"}, {"change.expired", "Change expired"}, {"change.reminded", "Reminder of a change"}, {"change.escalated", "Change escalated"},
		}},
		{"Sign-ins", "sign_in.", []logWord{
			{"sign_in.accepted", "Signed in"}, {"sign_in.switched", "Came from another company"}, {"sign_in.refused", "Sign-in refused"},
		}},
		{"Sessions", "", []logWord{
			{"session.ended", "Session ended"}, {"session.left", "Left for another company"}, {"sessions.ended", "Other sessions ended"},
		}},
		{"Command line logins", "login.", []logWord{
			{"login.allowed", "Login allowed"}, {"login.denied", "Login denied"}, {"login.began", "Login began"}, {"login.switched", "Login switched"}, {"login.refreshed", "Login’s credential renewed"}, {"login.ended", "Login ended"},
		}},
		{"Roles from groups", "role.", []logWord{
			{"role.mapping_refused", "Role from a group refused"}, {"role.last_owner_kept", "Last tenant owner kept"},
		}},
		{"Usage and sums", "", []logWord{
			{"usage.batch", "Requests recorded"}, {"adjustment.batch", "Requests adjusted"}, {"adjustment.ended", "Charges followed a change"}, {"sums.proved", "Sums compared"},
			{"retention.purged", "Rows purged"},
			{"journal.posted", "Journal entry posted"}, {"journal.exported", "Journal exported"},
			{"journal.posted", "Journal entry posted"},
			{"invoice.entered", "Invoice entered"},
			{"invoice.allocated", "Invoice booked"},
			{"reconciliation.made", "Day reconciled"}, {"variance.found", "Variance found"}, {"variance.gone", "Variance not found any more"},
		}},
		{"Closes", "close.", []logWord{{"close.signed", "Step of a close signed"}, {"close.sign_off_fell", "Signature of a close fell"}, {"close.sign_offs_told", "Signers of a close told"}}},
		{"Packets", "packet.", []logWord{
			{"packet.asked", "Packet asked for"}, {"packet.built", "Packet built"}, {"packet.downloaded", "Packet downloaded"}, {"packet.due", "Packet due to a recipient"}, {"packet.delivered", "Packet delivered"},
			{"packet.resent", "Packet sent again"},
		}},
		{"Issuers’ keys", "issuer.", []logWord{{"issuer.keys", "Issuer’s key set kept"}}},
		{"Provider", "", []logWord{
			{"upstream.tested", "Provider tested"}, {"provider.pulled", "Provider report pulled"}, {"provider.asked", "Provider report asked for"}, {"provider.pull_failed", "Pull of a provider report failed"},
		}},
		{"Notices", "notice.", []logWord{{"notice.resent", "Notice sent again"}, {"notice.tested", "Channel tested"}}},
		{"The log itself", "log.", []logWord{
			{"log.verified", "Log checked"}, {"log.broken", "Log found broken"}, {"log.key_used", "Log key first used"}, {"log.key_ended", "Log key signs no longer"}, {"log.exported", "Log exported"},
			{"log.witness_first", "Witness saw its first head"}, {"log.witness_behind", "Witness is behind"}, {"log.witness_refused", "Witness has seen another log"},
		}},
		{"Company", "tenant.", []logWord{
			{"tenant.export_begun", "Export of all data begun"}, {"tenant.exported", "All data exported"}, {"tenant.pseudonyms_sealed", "Pseudonym key sealed anew"},
			{"tenant.offboarded", "Company offboarded"},
		}},
		{"Offboarding", "offboarding.", []logWord{{"offboarding.ended", "Ended with the company"}}},
		{"Installation", "", []logWord{{"installation.restored", "Installation restored from a backup"}}},
		{"Operator", "operator.", []logWord{
			{"operator.job_retry", "Operator retried jobs"}, {"operator.job_cancel", "Operator canceled jobs"}, {"operator.job_delete", "Operator deleted jobs"},
		}},
	}
}

// actionWords is an action in words, or as it is.
func actionWords(action string) string {
	for _, family := range logFamilies() {
		for _, a := range family.Actions {
			if a.Code == action {
				return a.Words
			}
		}
	}
	return action
}

// actionTone marks what somebody should look at.
func actionTone(action string) (tone ui.Tone, icon string) {
	switch {
	case action == "log.broken":
		return ui.ToneStop, "×"
	case strings.HasSuffix(action, "refused"), action == "login.denied":
		return ui.ToneWarn, "!"
	}
	return ui.TonePlain, ""
}

// changeKind is a kind of change in words, and where it is shown.
type changeKind struct {
	Kind, Words string
	Object      string                      // of the right to read that page; empty: there is none
	URL         func(c recordDetail) string // empty: there is none
}

func always(url string) func(recordDetail) string { return func(recordDetail) string { return url } }

func ownPage(d recordDetail) string { return "/changes/" + d.subject }

func ofVariance(d recordDetail) string { return variancesPath + "/" + d.payload().text("variance") }

func ofDay(d recordDetail) string { return reconciliationPath + "/" + d.payload().text("day") }

func ofCommentary(d recordDetail) string {
	said := d.payload()
	if code := said.text("code"); code != "" {
		return commentaryURL(said.text("month"), code)
	}
	return commentaryPath + "?period=" + said.text("month")
}

func ofDispute(d recordDetail) string { return disputesPath + "/" + d.payload().text("dispute") }

func peopleChange(d recordDetail) string { return "/members/changes/" + d.subject }

func changedKey(d recordDetail) string {
	if key := d.payload().text("key"); key != "" {
		return "/keys/" + key
	}
	return "/keys"
}

// changedNode leads to the node that was made or changed, where it was one.
func changedNode(d recordDetail) string {
	type node struct {
		Code    string
		NewCode string `json:"new_code"`
		Into    string // of a merge
	}
	var payload struct{ Create, Operations []node }
	changed := []node{}
	if json.Unmarshal([]byte(d.text("payload")), &payload) == nil {
		changed = slices.Concat(payload.Create, payload.Operations)
	}
	if len(changed) != 1 {
		return "/"
	}
	return nodeURL(cmp.Or(changed[0].NewCode, changed[0].Into, changed[0].Code))
}

// ChangeWords is a kind of change as people call it, for whatever tells them of one.
func ChangeWords(kind string) string {
	for _, k := range changeKinds() {
		if k.Kind == kind {
			return k.Words
		}
	}
	return kind
}

// changeKinds is every kind of change there is; a test compares it with the funnel.
func changeKinds() []changeKind {
	return append(bookKinds(), []changeKind{
		{"tenant", "company", "", nil},
		{"tenant_profile", "settings", "setting", always("/settings")},
		{"branding", "name on paper", "setting", always("/settings")},
		{"tenant_suspension", "suspension of the company", "", nil},
		{"tenant_resumption", "end of the company’s suspension", "", nil},
		{"offboarding", "offboarding of the company", "offboarding", always(offboardingPath)},
		{"upstream", "provider’s address", "setting", always("/settings")},
		{"node", "node", "chargeback", changedNode},
		{"key", "virtual key", "key", changedKey},
		{"key_secret", "rotation of a virtual key", "key", changedKey},
		{"key_move", "move of a virtual key", "key", changedKey},
		{"key_revocation", "end of a virtual key", "key", changedKey},
		{"charge_right", "right to charge", "key", always("/keys/rights")},
		{"charge_right_end", "end of a right to charge", "key", always("/keys/rights")},
		{"prices", "prices", "price", always("/prices")},
		{"retag", "re-tagging of requests", "change", ownPage},
		{"policies", "approval policies", "policy", always("/changes/policies")},
		{"delegation", "delegation", "policy", always("/changes/delegations")},
		{"delegation_end", "end of a delegation", "policy", always("/changes/delegations")},
		{"rules", "attribution rules", "rule", always("/rules")},
		{"notice_channel", "channel that hears of changes", "channel", always(channelsPath)},
		{"notice_channel_end", "end of a channel", "channel", always(channelsPath)},
		{"notice_mutes", "choice of mail", "", nil},
		{"plan", "plan", "plan", always("/plan")},
		{"saved_view", "saved view", "usage", always("/explore")},
		{"saved_view_removal", "removal of a saved view", "usage", always("/explore")},
		{"tag_declaration", "declared tags", "usage", always("/explore")},
		{"member", "member", "member", peopleChange},
		{"invitation", "invitation", "member", peopleChange},
		{"invitation_withdrawal", "withdrawal of an invitation", "member", peopleChange},
		{"member_roles", "roles", "member", peopleChange},
		{"member_suspension", "suspension of a member", "member", peopleChange},
		{"member_resumption", "resumption of a member", "member", peopleChange},
		{"account_link", "linked account", "member", peopleChange},
		{"group_mapping", "group mapping", "member", peopleChange},
		{"group_mapping_end", "end of a group mapping", "member", peopleChange},
		{"mapped_roles", "roles from a group", "member", peopleChange},
		{"api_token", "API token", "member", peopleChange},
		{"api_token_revocation", "end of an API token", "member", peopleChange},
		{"issuer", "issuer", "member", peopleChange},
		{"erasure", "erasure", "member", peopleChange},
		{"retention", "retention terms", "retention", always(retentionPath)},
		{"hold", "legal hold", "retention", always(retentionPath)},
		{"hold_end", "end of a legal hold", "retention", always(retentionPath)},
		{"purge", "purge of what has expired", "retention", always(retentionPath)},
		{"issuer_retirement", "end of an issuer", "member", peopleChange},
	}...)
}

// bookKinds are those of months of the books: what they are held against, closed by and
// sent as.
func bookKinds() []changeKind {
	return []changeKind{
		{"true_up", "true-up of what broke off", "change", ownPage},
		{"books", "how charges are booked", "journal", always("/journal")},
		{"journal_reversal", "reversal of a journal entry", "change", ownPage},
		{"spend_elsewhere", "spend elsewhere", "reconciliation", always(elsewherePath)},
		{"tolerance", "tolerance", "reconciliation", always(reconciliationPath)},
		{"variance_step", "step of a variance", "reconciliation", ofVariance},
		{"variance_review", "review of a variance", "reconciliation", ofVariance},
		{"day_sign_off", "sign-off of a day", "reconciliation", ofDay},
		{"day_review", "review of a day", "reconciliation", ofDay},
		{"commentary", "commentary on a node", "commentary", ofCommentary},
		{"commentary_review", "asking for commentary, or its review", "commentary", ofCommentary},
		{"dispute", "dispute of charges", "dispute", ofDispute},
		{"dispute_answer", "answer to a dispute", "dispute", ofDispute},
		{"dispute_review", "finance’s word on a dispute", "dispute", ofDispute},
		{"report_source", "source of provider reports", "source", always("/settings/provider")},
		{"account_mapping", "mapping of accounts", "export", always("/exports")},
		{"export_acknowledgment", "ids of exported journals", "export", always("/exports")},
		{"gl_actuals", "figures of the general ledger", "export", always("/exports")},
		{"invoice", "entering of invoices", "invoice", always("/invoices")},
		{"allocation", "booking of an invoice", "change", ownPage},
		{"sharing", "sharing of fixed cost", "invoice", always("/invoices/sharing")},
		{"period_soft_close", "beginning of a close", "period", always(closePath)},
		{"period_close", "lock or close of a month", "change", ownPage},
		{"period_reopen", "reopening of a month", "change", ownPage},
		{"close_waiver", "step of a close that is left out", "change", ownPage},
		{"materiality", "materiality of a month", "period", always(closePath)},
		{"holidays", "holidays", "period", always(holidaysPath)},
		{"packet_recipient", "recipient of packets", "recipient", always(recipientsPath)},
		{"packet_recipient_end", "end of a recipient of packets", "recipient", always(recipientsPath)},
	}
}

// recordDetail is what a record says beside who, what and when.
type recordDetail struct {
	subject string
	values  map[string]any
}

func detailOf(e *app.LogEntry) recordDetail {
	d := recordDetail{subject: e.Subject}
	var said struct{ Detail map[string]any }
	decoder := json.NewDecoder(bytes.NewReader(e.Canonical))
	decoder.UseNumber()
	if decoder.Decode(&said) == nil { // bytes that are no record have nothing to say
		d.values = said.Detail
	}
	return d
}

// text is a string or a number by its name; empty where there is none.
func (d recordDetail) text(name string) string {
	switch v := d.values[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func (d recordDetail) count(name, one string) string {
	number, ok := d.values[name].(json.Number)
	if !ok {
		return ""
	}
	n, err := number.Int64()
	if err != nil {
		return ""
	}
	return ui.Plural(n, one)
}

// payload is what a change's maker asked for.
func (d recordDetail) payload() recordDetail {
	inner := recordDetail{}
	decoder := json.NewDecoder(strings.NewReader(d.text("payload")))
	decoder.UseNumber()
	if decoder.Decode(&inner.values) != nil {
		inner.values = nil
	}
	return inner
}

// aboutBooks is the same of what belongs to closing a month.
func aboutBooks(e *app.LogEntry, d recordDetail, prefix string, shown func(object, url string) link) (one link, found bool) {
	label := ""
	switch {
	case e.Action == "journal.posted":
		one, label = shown("journal", "/journal/"+e.Subject), "Journal "+d.text("number")
	case e.Action == "reconciliation.made":
		one, label = shown("reconciliation", reconciliationPath+"/"+d.text("day")), d.text("day")
	case prefix == "var":
		one, label = shown("reconciliation", variancesPath+"/"+e.Subject), "Variance "+d.text("number")
	case prefix == "pkt":
		one = shown("packet", "/packets/"+e.Subject)
	case e.Action == "packet.due" || e.Action == "packet.delivered" || e.Action == "packet.resent":
		one = shown("packet", "/packets/"+d.text("packet"))
	case e.Action == "provider.pulled", e.Action == "provider.pull_failed":
		one, label = shown("source", "/settings/provider/pulls/"+e.Subject), "Pull "+d.text("number")
	case e.Action == "journal.exported":
		one, label = shown("export", "/exports/"+e.Subject), d.text("external_id")
	case prefix == "inv":
		one, label = shown("invoice", "/invoices/"+e.Subject), "Invoice "+d.text("number")
	case strings.HasPrefix(e.Action, "close."):
		one, label = shown("period", closePath+"/"+e.Subject), e.Subject
	default:
		return link{}, false
	}
	if label != "" {
		one.Label = label
	}
	return one, true
}

// about says what a record is about, and where that is shown to this person.
func (v *visit) about(e *app.LogEntry) link {
	d := detailOf(e)
	prefix, _, _ := strings.Cut(e.Subject, "_")
	short := ui.ShortID(e.Subject)
	shown := func(object, url string) link {
		if !v.may(object, "read") {
			url = ""
		}
		return link{short, url}
	}
	if one, found := aboutBooks(e, d, prefix, shown); found {
		return one
	}
	switch {
	case e.Action == "adjustment.ended":
		one := shown("change", "/changes/"+e.Subject)
		one.Label = d.count("requests", "request")
		return one
	case prefix == "chg":
		return v.aboutChange(d)
	case e.Action == "usage.batch":
		first, err := id.ParseEvent(d.text("first"))
		if err != nil {
			return link{short, ""}
		}
		label := d.count("requests", "request")
		if d.text("requests") != "1" {
			label = "First of " + label // that is the one the link opens
		}
		return link{label, "/requests/" + first.String()}
	case e.Action == "adjustment.batch":
		one := shown("change", "/changes/"+d.text("change"))
		one.Label = d.count("requests", "request")
		return one
	case e.Action == "upstream.tested":
		one := shown("setting", "/settings")
		one.Label = shorten(d.text("base_url"), 48)
		return one
	case prefix == "mem":
		return shown("member", "/members/"+e.Subject)
	case prefix == "key":
		return shown("key", "/keys/"+e.Subject)
	case prefix == "tok":
		return shown("token", "/tokens")
	case prefix == "iss":
		return shown("issuer", "/members/issuers")
	case prefix == "ten":
		return link{"the company", ""}
	}
	return link{short, ""}
}

func (v *visit) aboutChange(d recordDetail) link {
	number := d.text("number")
	if number == "" {
		return link{ui.ShortID(d.subject), ""}
	}
	one := link{Label: "Change " + number}
	kinds := changeKinds()
	at := slices.IndexFunc(kinds, func(k changeKind) bool { return k.Kind == d.text("kind") })
	if at < 0 {
		one.Label += ", " + d.text("kind")
		return one
	}
	one.Label += ", " + kinds[at].Words
	if v.decided(d) {
		one.URL = "/changes/" + d.subject
		return one
	}
	if kinds[at].URL != nil && v.may(kinds[at].Object, "read") {
		one.URL = kinds[at].URL(d)
	}
	return one
}

// decided says whether a record is of a change that persons decide about, whose page this
// person may open. What no policy asked anybody about has the page of what it changed.
func (v *visit) decided(d recordDetail) bool {
	_, governed := v.web.areas.Approvals.Kinds()[d.text("kind")]
	return governed && d.text("approved_by") != approval.RuleNoPolicy && v.web.areas.Approvals.Reads(v.who, d.text("kind"))
}

// namedDetail names what a record says in a line where that is its detail as it stands.
func namedDetail(action string) []string {
	switch family, _, _ := strings.Cut(action, "."); {
	case family == "packet":
		return []string{"period", "scope", "revision", "state", "file", "kind"}
	case action == "provider.pulled", action == "provider.pull_failed":
		return []string{"report", "day", "state", "reason"}
	case action == "upstream.tested":
		return []string{"outcome", "detail"}
	case family == "login":
		return []string{"cost_center", "before"}
	}
	return nil
}

// inShort is what else a record says, in a line.
func inShort(e *app.LogEntry) string {
	d := detailOf(e)
	if names := namedDetail(e.Action); names != nil {
		return d.joined(names...)
	}
	if text, found := d.ofBooks(e.Action); found {
		return text
	}
	switch family, _, _ := strings.Cut(e.Action, "."); {
	case e.Action == "change.decision_asked" || e.Action == "issuer.keys":
		return d.text("issuer")
	case family == "change":
		return d.changed()
	case e.Action == "usage.batch":
		return d.spent()
	case e.Action == "adjustment.ended":
		return lower(adjustedWords(d.text("kind"))) + ", all of them"
	case e.Action == "adjustment.batch":
		return lower(adjustedWords(d.text("kind"))) + ", in the books of " + d.text("period")
	case e.Action == "retention.purged":
		return d.text("class") + " of " + d.text("month") + ", " + d.text("rows") + " rows, by Change " + d.text("number")
	case e.Action == "sums.proved":
		return d.proved()
	case family == "log":
		return d.ofLog(e.Action)
	case family == "sign_in":
		return d.text("issuer")
	case e.Action == "sessions.ended":
		return d.count("sessions", "session")
	case family == "role":
		return ui.Words(d.text("role"))
	case e.Action == "tenant.exported":
		return d.count("files", "file") + ", " + d.count("rows", "row")
	case e.Action == "offboarding.ended":
		return d.endedAtOnce()
	case e.Action == "tenant.offboarded":
		return "by Change " + d.text("number") + ", after the export " + shorten(d.text("manifest_sha256"), 12)
	case family == "operator":
		return d.jobs()
	}
	return d.rest()
}

// ofBooks is the same of what belongs to closing a month.
func (d recordDetail) ofBooks(action string) (text string, found bool) {
	switch {
	case action == "journal.posted":
		return d.posted(), true
	case action == "journal.exported":
		return d.text("system") + ", " + d.text("period") + ", " + d.count("entries", "entry"), true
	case action == "invoice.entered":
		return d.joined("from", "to") + ", " + d.count("lines", "line"), true
	case action == "invoice.allocated":
		return d.count("shares", "share") + ", by a change", true
	case action == "reconciliation.made", strings.HasPrefix(action, "variance."):
		return lower(ui.Words(d.text("state"))), true
	}
	return "", false
}

func (d recordDetail) changed() string {
	if code := d.text("code"); code != "" {
		return "“" + d.text("verdict") + "” refused: " + code
	}
	if said := d.text("verdict_reason"); said != "" {
		return said
	}
	return d.text("reason")
}

func (d recordDetail) spent() string {
	sum, err := money.SumOfPico(d.text("amount_pico"))
	if err != nil || d.text("amount_pico") == "" {
		return d.text("period")
	}
	return ui.Dollars(&sum) + " in " + d.text("period")
}

func (d recordDetail) proved() string {
	for _, month := range d.values {
		one, ok := month.(map[string]any)
		if ok && one["agree"] != true {
			return "they do not agree"
		}
		if books, there := one["journal"].(map[string]any); there && books["agree"] != true {
			return "the journal does not agree with them"
		}
	}
	return "requests, batches, daily sums and the journal agree"
}

// posted is what kind of entry it was, of what it was made, and what it came to.
func (d recordDetail) posted() string {
	words := lower(entryKindWords(ledger.Kind(d.text("kind")))) + " of " + d.text("date")
	if n, err := strconv.ParseInt(d.text("total_cents"), 10, 64); err == nil {
		words += ", " + dollarCents(money.Cents(n))
	}
	return words + ", in the books of " + d.text("period")
}

func (d recordDetail) ofLog(action string) string {
	switch action {
	case "log.verified":
		return d.count("size", "record") + " and " + d.count("checkpoints", "signed head") + ": good"
	case "log.broken":
		if at := d.text("sequence"); at != "" && at != "-1" {
			return "record " + at + ": " + d.text("why")
		}
		return d.text("why")
	case "log.exported":
		from, _, _ := strings.Cut(d.text("from"), "T")
		to, _, _ := strings.Cut(d.text("to"), "T")
		return "records of " + from + " to before " + to
	}
	return shorten(d.text("verifier"), 60)
}

// endedAtOnce says how many of one kind ended with their company.
func (d recordDetail) endedAtOnce() string {
	list, _ := d.values["ids"].([]any)
	return ui.Count(int64(len(list))) + " " + d.text("what")
}

func (d recordDetail) jobs() string {
	list, ok := d.values["jobs"].([]any)
	if !ok {
		return ""
	}
	return ui.Plural(int64(len(list)), "job")
}

func (d recordDetail) joined(names ...string) string {
	var words []string
	for _, name := range names {
		if text := d.text(name); text != "" {
			words = append(words, text)
		}
	}
	return strings.Join(words, ", ")
}

// rest is what a record of an action without words says, name by name.
func (d recordDetail) rest() string {
	var words []string
	for name := range d.values {
		if text := d.text(name); text != "" {
			words = append(words, name+" "+text)
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// shorten keeps the beginning of a text that is too long for a row.
func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
