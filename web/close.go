package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/web/ui"
)

const closePath = "/close"

// closePages are the pages on which months of the books are closed.
func (w *Web) closePages() []Route {
	return []Route{
		w.page(http.MethodGet, closePath, w.showCloses, "period", "read"),
		w.page(http.MethodGet, closePath+".csv", w.exportCloses, "period", "read"),
		w.page(http.MethodGet, materialityPath, w.askMateriality, "materiality", "propose"),
		w.page(http.MethodPost, materialityPath, w.proposeMateriality, "materiality", "propose"),
		w.page(http.MethodGet, holidaysPath, w.showHolidays, "period", "read"),
		w.page(http.MethodGet, holidaysPath+".csv", w.exportHolidays, "period", "read"),
		w.page(http.MethodPost, holidaysPath, w.proposeHolidays, "holiday", "propose"),
		w.page(http.MethodGet, closePath+"/:period", w.showClose, "period", "read"),
		w.page(http.MethodGet, closePath+"/:period/steps.csv", w.exportClose, "period", "read"),
		w.page(http.MethodPost, closePath+"/:period/move", w.proposeMove, "period", "propose"),
		w.page(http.MethodPost, closePath+"/:period/waive", w.proposeWaiver, "period", "propose"),
		w.page(http.MethodGet, closePath+"/:period/:step", w.showCloseStep, "period", "read"),
		w.page(http.MethodPost, closePath+"/:period/:step/sign", w.signStep, "close", "propose"),
		w.page(http.MethodPost, closePath+"/:period/:step/take-back", w.takeBackSignature, "close", "propose"),
	}
}

type closesView struct {
	Frame       ui.Frame
	Rows        []app.PeriodView
	Materiality string // in force, in words
	MayPropose  bool   // another
}

func (w *Web) showCloses(v *visit) error {
	rows, err := w.areas.Closing.Months(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	terms, err := w.areas.Closing.Materiality(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := &closesView{Frame: v.frame("Close"), Rows: rows, Materiality: app.MaterialityWords(terms.Materiality), MayPropose: v.may("materiality", "propose")}
	if err := closesSheet(rows).prints(v, &view.Frame, closePath+".csv", "close-"+v.slug+".csv"); err != nil {
		return err
	}
	return render(v, http.StatusOK, closesPage(view))
}

func (w *Web) exportCloses(v *visit) error {
	rows, err := w.areas.Closing.Months(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	return closesSheet(rows).send(v, "close-"+v.slug+".csv")
}

func closesSheet(rows []app.PeriodView) *sheet {
	out := newSheet("period", "state", "revision", "changed_at", "requests", "charges_usd", "steps_done", "steps", "due")
	for i := range rows {
		r := &rows[i]
		out.add("charges_usd", &r.Charges)
		_ = out.Write([]string{
			r.Month.String(), string(r.Standing.State), strconv.Itoa(r.Standing.Revision), instantText(r.ChangedAt), strconv.FormatInt(r.Requests, 10), r.Charges.String(),
			strconv.Itoa(r.Over), strconv.Itoa(r.All), ui.Date(r.Due),
		})
	}
	return out
}

func closeURL(m period.Month) string { return closePath + "/" + m.String() }

func stepURL(m period.Month, step closing.Step) string {
	return closeURL(m) + "/" + strings.ReplaceAll(string(step), "_", "-")
}

// periodTag is a month's state as a tag.
func periodTag(s period.Standing) figureTag {
	tag := figureTag{ui.TonePlain, "○", "Open"}
	switch s.State {
	case period.StateOpen:
	case period.StateClosing:
		tag = figureTag{ui.ToneNext, "◐", "Closing"}
	case period.StateLocked:
		tag = figureTag{ui.ToneOK, "■", "Locked"}
	case period.StateClosed:
		tag = figureTag{ui.ToneOK, "✓", "Closed"}
	}
	if s.Revision > 1 {
		tag.Word += fmt.Sprintf(", revision %d", s.Revision)
	}
	return tag
}

// stepTag is a step's state as a tag.
func stepTag(s *closing.Standing) figureTag {
	switch s.State {
	case closing.Done:
		return figureTag{ui.ToneOK, "✓", "Done"}
	case closing.Waived:
		return figureTag{ui.TonePlain, "–", "Left out"}
	case closing.Ready:
		if s.Fell {
			return figureTag{ui.ToneWarn, "!", "Signature fell"}
		}
		return figureTag{ui.ToneNext, "→", "To prepare"}
	case closing.Signed:
		return figureTag{ui.ToneNext, "→", "To review"}
	case closing.Blocked:
		return figureTag{ui.ToneStop, "×", "Blocked"}
	case closing.Waiting:
		return figureTag{ui.TonePlain, "…", "Waits"}
	case closing.NotAsked:
	}
	return figureTag{ui.TonePlain, "○", "Later"}
}

// blockLink is where what is in the way is mended.
func blockLink(m period.Month, b *closing.Block) link {
	if change, is := strings.CutPrefix(b.Code, closing.ChangeBlock); is {
		return link{"The change", "/changes/" + change}
	}
	if day, is := strings.CutPrefix(b.Code, closing.DayBlock); is {
		return link{"The day", reconciliationPath + "/" + day}
	}
	from, to := ui.Date(m.Start()), ui.Date(m.End())
	span := "/requests?from=" + from + "&to=" + to
	switch b.Code {
	case "unfinished":
		return link{"The requests", span + "&state=provisional"}
	case "unpriced":
		return link{"The requests", span + "&state=unpriced"}
	case "unposted", "wrong", "owed", "unbalanced":
		return link{"The journal", "/journal?period=" + m.String()}
	case "unallocated", "residual":
		return link{"The invoices", invoicesPath}
	case "unexported", "unacknowledged":
		return link{"The exports", "/exports?period=" + m.String()}
	case "commentary":
		return link{"The commentary", commentaryQuery{Month: m}.url(commentaryPath)}
	case "undelivered":
		return link{"The packets", packetsPath + "?period=" + m.String()}
	case "days":
		return link{"The days", calendarURL(reconciliationPath, m)}
	case "unknown":
		return link{"The variances", varianceQuery{State: app.Unresolved, Class: string(reconcile.ClassUnknown), Period: m.String()}.url(variancesPath)}
	case "unsigned", "unreviewed":
		return link{"Sign it", stepURL(m, b.Step)}
	}
	if b.Step != "" {
		return link{"The step", stepURL(m, b.Step)}
	}
	return link{}
}

// stepMends is where a step's figures come from.
func stepMends(m period.Month, step closing.Step) link {
	from, to := ui.Date(m.Start()), ui.Date(m.End())
	switch step {
	case closing.StepUsage:
		return link{"Requests of the month", "/requests?from=" + from + "&to=" + to}
	case closing.StepPrices:
		return link{"Price book", "/prices"}
	case closing.StepReconciled:
		return link{"Days of the month", calendarURL(reconciliationPath, m)}
	case closing.StepUnexplained:
		return link{"Variances of the month", varianceQuery{State: "", Period: m.String()}.url(variancesPath)}
	case closing.StepInvoice, closing.StepAllocation:
		return link{"Invoices", invoicesPath}
	case closing.StepSuspense:
		return link{"Requests in suspense", "/requests?from=" + from + "&to=" + to + "&node=SUSPENSE"}
	case closing.StepAccrual, closing.StepJournal:
		return link{"Journal of the month", "/journal?period=" + m.String()}
	case closing.StepCapital:
		return link{"Chargeback of the month", "/?period=" + m.String()}
	case closing.StepApproved:
		return link{"Trial balance", "/journal/trial-balance?period=" + m.String()}
	case closing.StepDisputes:
		return link{"Disputes of the month", disputeQuery{State: everyState, Period: m.String()}.url(disputesPath)}
	case closing.StepCommentary:
		return link{"Commentary of the month", commentaryQuery{Month: m}.url(commentaryPath)}
	case closing.StepExported:
		return link{"Exports of the month", "/exports?period=" + m.String()}
	case closing.StepPacket:
		return link{"Packets of the month", packetsPath + "?period=" + m.String()}
	case closing.StepLock, closing.StepCheckpoint:
	}
	return link{"The audit log", "/log"}
}

// figureName is what a figure of a step is called.
func figureName(name string) string {
	words := map[string]string{
		"days_with_usage": "Days with usage", "requests": "Requests", "unfinished": "Open, incomplete or estimated", "charges_usd": "Charges", "unpriced": "With a provisional price",
		"repriced_usd": "Price adjustments", "suspense_usd": "In suspense", "days_accrued": "Days accrued", "accrued_basis_usd": "Accrued, exactly", "accrued_usd": "Accrued, in cents",
		"capitalized_usd": "Capitalized", "expensed_usd": "Expensed", "capitalized_nodes": "Nodes capitalized", "without_evidence": "Without a document", "without_evidence_sha256": "SHA-256 over their codes", "entries": "Entries",
		"invoices": "Invoices", "invoiced_usd": "Invoiced", "unbilled_days": "Days no invoice bills", "invoices_sha256": "SHA-256 over the invoices", "allocated": "Allocated", "unexplained_usd": "Unexplained",
		"days_reconciled": "Days reconciled", "days_within_tolerance": "Of them within tolerance", "days_with_exceptions": "Of them with exceptions", "days_provisional": "Days provisional",
		"days_without_report": "Days without a report", "variances_open": "Variances not resolved", "days_signed": "Days signed by two", "difference_usd": "Provider’s reports less charges",
		"coverage": "Traffic that passed the gateway", "materiality_usd": "Material, in all", "node_materiality_usd": "Material, at one node", "unknown_usd": "Unknown, of the days", "invoice_residual_usd": "Unexplained, of invoices",
		"largest_node": "Most at a node", "largest_node_usd": "At that node", "explained_unknown_usd": "Explained, of what was unknown", "rounding_usd": "Rounding",
		"journals_exported": "Journals exported", "journals_acknowledged": "Of them acknowledged", "entries_not_exported": "Entries in no file", "systems": "Systems that take the journal",
		"ledger_findings": "Differences with the general ledger", "exports_sha256": "SHA-256 over the exports", "recipients": "Recipients of final packets", "packets_delivered": "Of them reached",
		"disputes_raised": "Disputes raised", "disputes_open": "Of them not ended", "disputed_usd": "Disputed", "open_disputes": "Not ended", "disputes_sha256": "SHA-256 over the disputes",
		"commentary_asked": "Nodes asked for commentary", "commentary_owed": "Of them without an answer", "commentary_accepted": "Of them accepted", "commentary_stale": "About other figures", "nodes_not_asked": "Above the threshold, not asked",
		"commentary_sha256": "SHA-256 over the commentary", "debits_usd": "Debits", "credits_usd": "Credits", "entries_sha256": "SHA-256 over the entries",
	}
	if w, there := words[name]; there {
		return w
	}
	return ui.Words(name)
}

// figureValue prints a figure: dollars as dollars.
func figureValue(f closing.Figure) string {
	if strings.HasSuffix(f.Name, "_sha256") && len(f.Value) > 12 {
		return f.Value[:12] + "…"
	}
	if n, err := strconv.ParseInt(f.Value, 10, 64); err == nil {
		return ui.Count(n)
	}
	if !strings.HasSuffix(f.Name, "_usd") {
		return f.Value
	}
	sum, err := money.ParseSum(f.Value)
	if err != nil {
		return f.Value
	}
	return ui.Dollars(&sum)
}

type closeView struct {
	Frame   ui.Frame
	Close   *app.CloseView
	Title   string
	Figures []figure
	Step    *closeAction // what the next move is; nil: there is none, or not by this person
	Reopen  *closeAction
	Form    closeForm
	MayRead bool // changes
	Today   string
	Notes   *closeNotes // what owners say of the month; nil: not theirs to see
}

// closeAction is a move that may be proposed.
type closeAction struct {
	To, Label, Effect string
	Refused           string // why it cannot be made yet
}

// closeForm is what was sent of a move or a waiver, and what was wrong with it.
type closeForm struct {
	trouble
	Which, Reason, Step string
}

func (w *Web) closeOf(v *visit) (app.CloseView, error) {
	m, err := period.ParseMonth(v.Param("period"))
	if err != nil {
		return app.CloseView{}, errPageAbsent
	}
	return w.areas.Closing.Month(v.Request().Context(), v.who, m)
}

func (w *Web) showClose(v *visit) error { return w.closePage(v, http.StatusOK, closeForm{}) }

func (w *Web) closePage(v *visit, status int, form closeForm) error {
	found, err := w.closeOf(v)
	if err != nil {
		return err
	}
	title := "Close of " + monthName(found.Month)
	view := &closeView{Frame: v.frame(title), Close: &found, Title: title, Form: form, MayRead: v.may("change", "read"), Today: ui.Date(w.cfg.Now())}
	view.Figures = closeFigures(&found)
	if view.Notes, err = w.closeNotes(v, found.Month); err != nil {
		return err
	}
	if v.may("period", "propose") {
		view.Step, view.Reopen = closeActions(&found)
	}
	if err := closeSheet(&found).prints(v, &view.Frame, closePath+"/:period/steps.csv", closeFile(v, found.Month)); err != nil {
		return err
	}
	return render(v, status, closePageOf(view))
}

func closeFile(v *visit, m period.Month) string {
	return "close-" + v.slug + "-" + m.String() + ".csv"
}

func (w *Web) exportClose(v *visit) error {
	found, err := w.closeOf(v)
	if err != nil {
		return err
	}
	return closeSheet(&found).send(v, closeFile(v, found.Month))
}

// closeSheet is the checklist as a file: each figure of each step on a line.
func closeSheet(c *app.CloseView) *sheet {
	out := newSheet("period", "period_state", "revision", "step", "state", "owner", "due", "figure", "value", "figures_sha256", "prepared_by", "prepared_at", "reviewed_by", "reviewed_at", "note")
	out.filter("period", c.Month.String())
	for i := range c.Steps {
		s := &c.Steps[i]
		signed := []string{"", "", "", "", ""}
		if s.Preparer != nil {
			signed[0], signed[1], signed[4] = cell(s.Preparer.By.Name), instantText(s.Preparer.At), cell(s.Preparer.Note)
		}
		if s.Checker != nil {
			signed[2], signed[3] = cell(s.Checker.By.Name), instantText(s.Checker.At)
		}
		figures := s.Facts.Figures
		if len(figures) == 0 {
			figures = []closing.Figure{{}}
		}
		for _, f := range figures {
			_ = out.Write(append([]string{
				c.Month.String(), string(c.Standing.State), strconv.Itoa(c.Standing.Revision), string(s.Step), string(s.State), s.Owner, ui.Date(s.DueOn), f.Name, f.Value, s.Digest,
			}, signed...))
		}
	}
	out.add("charges_usd", &c.Charges)
	return out
}

func closeFigures(c *app.CloseView) []figure {
	tag := periodTag(c.Standing)
	progress := figure{Label: "Steps done", Value: fmt.Sprintf("%d of %d", c.Over, c.All), Notes: []link{{Label: "due by " + ui.Day(c.Due)}}}
	progress.Tag = &tag
	charges := figure{Label: "Charges", Value: ui.Dollars(&c.Charges), URL: "/?period=" + c.Month.String(), Notes: []link{{Label: ui.Plural(c.Requests, "request")}}}
	blocks := figure{Label: "In the way", Value: strconv.Itoa(len(c.Blocks)), URL: "#blocks", Notes: []link{{Label: "of locking the month"}}}
	switch c.Standing.State {
	case period.StateLocked:
		blocks.Notes[0].Label = "of closing it"
	case period.StateClosed:
		blocks = figure{Label: "In the way", Value: "0", Notes: []link{{Label: "it is closed"}}}
	case period.StateOpen, period.StateClosing:
	}
	list := []figure{progress, charges, blocks}
	if len(c.Freezes) > 0 {
		f := &c.Freezes[0]
		one := figure{Label: "As locked", Value: ui.Dollars(&f.Charges), Notes: []link{{Label: fmt.Sprintf("revision %d, %s", f.Revision, ui.Day(f.At))}}}
		one.Tag = &figureTag{ui.ToneWarn, "!", "overtaken"}
		if f.Agrees {
			one.Tag = &figureTag{ui.ToneOK, "✓", "as it is now"}
		}
		list = append(list, one)
	}
	return list
}

// closeActions are the next move of a month, and its reopening.
func closeActions(c *app.CloseView) (next, reopen *closeAction) {
	switch c.Standing.State {
	case period.StateOpen:
		next = &closeAction{To: string(period.StateClosing), Label: "Begin to close", Effect: "From then on finance decides about every change with effect in the month. Charges still post to it."}
	case period.StateClosing:
		next = &closeAction{To: string(period.StateLocked), Label: "Propose to lock", Effect: "Locked, " +
			"it takes no charge, no adjustment and no entry: what comes late posts to the next open month. Its figures are kept as they are. Somebody else who signs closes decides."}
	case period.StateLocked:
		next = &closeAction{To: string(period.StateClosed), Label: "Propose to close", Effect: "Closed, it stays as it is unless a change reopens it. Somebody else who signs closes decides."}
	case period.StateClosed:
	}
	if c.Standing.State.Shut() {
		reopen = &closeAction{To: "reopen", Label: "Propose to reopen", Effect: fmt.Sprintf("It "+
			"becomes revision %d: every signature has to be given anew, and whoever got the former revision is sent another. Somebody else who signs closes decides.", c.Standing.Revision+1)}
	}
	if next != nil {
		next.Refused = c.Cause
		if len(c.Blocks) > 0 && c.Standing.State != period.StateOpen && next.Refused == "" {
			next.Refused = ui.Plural(int64(len(c.Blocks)), "thing") + " in the way, named on this page."
		}
	}
	return next, reopen
}

func (w *Web) proposeMove(v *visit) error {
	if !v.may("period", "propose") {
		return app.ErrNotAllowed
	}
	m, err := period.ParseMonth(v.Param("period"))
	if err != nil {
		return errPageAbsent
	}
	form := closeForm{Which: v.FormValue("to"), Reason: v.FormValue("reason")}
	var asked app.Ask
	switch form.Which {
	case string(period.StateClosing):
		asked = app.AskSoftClose(m, form.Reason)
	case string(period.StateLocked), string(period.StateClosed):
		asked = app.AskClose(m, period.State(form.Which), form.Reason)
	case "reopen":
		asked = app.AskReopen(m, form.Reason)
	default:
		return fault.Invalid("to", "period_to", "A month begins to close, is locked, closed or reopened.")
	}
	if form.Which == string(period.StateLocked) { // what is due is posted first, or it would be in the way
		if _, err := w.areas.Books.Accrue(v.Request().Context(), v.who.Tenant); err != nil {
			return err
		}
	}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, asked, "")
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.closePage(v, status, form)
	}
	return v.proposed(made, err, closeURL(m))
}

func (w *Web) proposeWaiver(v *visit) error {
	if !v.may("period", "propose") {
		return app.ErrNotAllowed
	}
	m, err := period.ParseMonth(v.Param("period"))
	if err != nil {
		return errPageAbsent
	}
	form := closeForm{Which: "waive", Reason: v.FormValue("reason"), Step: v.FormValue("step")}
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskWaiver(m, closing.Step(form.Step), form.Reason), "")
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.closePage(v, status, form)
	}
	return v.proposed(made, err, closeURL(m))
}

type closeStepView struct {
	Frame    ui.Frame
	Close    *app.CloseView
	Step     *app.CloseStep
	Title    string
	Mends    link
	Former   []formerFigure // of the signature that fell last, where another figure is now
	Part     closing.Part   // what this person may sign; empty: nothing
	MayWaive bool
	Form     closeForm
	TakeBack []app.SignView // of this person's, that count
	Log      bool
}

// formerFigure is a figure as it was signed, and as it is now.
type formerFigure struct{ Name, Was, Is string }

func (w *Web) showCloseStep(v *visit) error { return w.closeStepPage(v, http.StatusOK, closeForm{}) }

func stepParam(v *visit) closing.Step {
	return closing.Step(strings.ReplaceAll(v.Param("step"), "-", "_"))
}

func (w *Web) closeStepPage(v *visit, status int, form closeForm) error {
	found, err := w.closeOf(v)
	if err != nil {
		return err
	}
	view := &closeStepView{Close: &found, Form: form, Log: v.may("audit", "read")}
	for i := range found.Steps {
		if found.Steps[i].Step == stepParam(v) {
			view.Step = &found.Steps[i]
		}
	}
	if view.Step == nil {
		return errPageAbsent
	}
	s := view.Step
	view.Title = app.StepWords(s.Step)
	view.Frame = v.frame(view.Title + ", " + monthName(found.Month))
	view.Mends = stepMends(found.Month, s.Step)
	view.offers(v)
	if len(s.Fallen) > 0 && s.Fell {
		view.Former = differing(s.Fallen[0].Figures, s.Facts.Figures)
	}
	return render(v, status, closeStepPageOf(view))
}

// offers says what this person may do about the step.
func (p *closeStepView) offers(v *visit) {
	s, state := p.Step, p.Close.Standing.State
	if signable(p.Close, s) {
		switch {
		case s.State == closing.Ready && v.may("close", "propose"):
			p.Part = closing.Prepared
		case s.State == closing.Signed && v.may(s.Reviewer, "approve") && !s.Preparer.Mine:
			p.Part = closing.Reviewed
		}
		for _, sign := range []*app.SignView{s.Preparer, s.Checker} {
			if sign != nil && sign.Mine {
				p.TakeBack = append(p.TakeBack, *sign)
			}
		}
	}
	asked := !state.Shut() || (state == period.StateLocked && s.Stage == closing.ToClose)
	p.MayWaive = s.Waivable && !s.State.Over() && asked && v.may("period", "propose")
}

// signable tells whether a month stands where a step of it is signed.
func signable(c *app.CloseView, s *app.CloseStep) bool {
	return c.Standing.State == period.StateClosing && s.Stage == closing.ToLock || c.Standing.State == period.StateLocked && s.Stage == closing.ToClose
}

// differing pairs what was signed with what is, as they are printed.
func differing(was, is []closing.Figure) []formerFigure {
	var list []formerFigure
	for _, d := range closing.Differing(was, is) {
		list = append(list, formerFigure{figureName(d.Name), figureValue(closing.Figure{Name: d.Name, Value: d.Was}), figureValue(closing.Figure{Name: d.Name, Value: d.Is})})
	}
	return list
}

func (w *Web) signStep(v *visit) error {
	if !v.may("close", "propose") {
		return app.ErrNotAllowed
	}
	m, err := period.ParseMonth(v.Param("period"))
	if err != nil {
		return errPageAbsent
	}
	form := closeForm{Which: "sign", Reason: v.FormValue("note")}
	err = w.areas.Closing.Sign(v.Request().Context(), v.who, app.Signing{Month: m, Step: stepParam(v), Part: closing.Part(v.FormValue("part")), Seen: v.FormValue("seen"), Note: form.Reason})
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.closeStepPage(v, status, form)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, closeURL(m)+"#steps")
}

func (w *Web) takeBackSignature(v *visit) error {
	if !v.may("close", "propose") {
		return app.ErrNotAllowed
	}
	m, err := period.ParseMonth(v.Param("period"))
	if err != nil {
		return errPageAbsent
	}
	form := closeForm{Which: "take-back", Reason: v.FormValue("reason")}
	place, err := strconv.Atoi(v.FormValue("place"))
	if err != nil {
		return errPageAbsent
	}
	err = w.areas.Closing.TakeBack(v.Request().Context(), v.who, m, place, form.Reason)
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.closeStepPage(v, status, form)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, stepURL(m, stepParam(v)))
}

// causeWords say why a signature counts no more.
func causeWords(s *app.SignView) string {
	switch s.Cause {
	case "withdrawn":
		return "taken back"
	case "preparation":
		return "what was reviewed was taken back"
	case "figures":
		return "a figure changed"
	}
	return "a figure changed, or the month was reopened"
}
