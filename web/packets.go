package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/export/packet"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/notice"
	"tollbook/app/period"
	"tollbook/web/ui"
)

const (
	packetsPath    = "/packets"
	recipientsPath = "/packets/recipients"
)

// packetPages are the pages of what is sent at close.
func (w *Web) packetPages() []Route {
	return []Route{
		w.page(http.MethodGet, packetsPath, w.showPackets, "packet", "read"),
		w.page(http.MethodGet, packetsPath+".csv", w.exportPackets, "packet", "read"),
		w.page(http.MethodPost, packetsPath+"/build", w.buildPacket, "packet", "propose"),
		w.page(http.MethodGet, packetsPath+"/asked/:id", w.showAsked, "packet", "propose"),
		w.page(http.MethodPost, packetsPath+"/deliveries/:id/resend", w.resendPacket, "packet", "propose"),
		w.page(http.MethodGet, recipientsPath, w.showRecipients, "recipient", "read"),
		w.page(http.MethodGet, recipientsPath+".csv", w.exportRecipients, "recipient", "read"),
		w.page(http.MethodPost, recipientsPath, w.addRecipient, "recipient", "propose"),
		w.page(http.MethodPost, recipientsPath+"/:id/end", w.endRecipient, "recipient", "propose"),
		w.page(http.MethodGet, packetsPath+"/:id", w.showPacket, "packet", "read"),
		w.page(http.MethodPost, packetsPath+"/:id/send", w.sendPacketTo, "packet", "propose"),
		w.page(http.MethodGet, packetsPath+"/:id/archive", w.downloadPacket, "packet", "read"),
		w.page(http.MethodGet, packetsPath+"/:id/files/:name", w.downloadPacketFile, "packet", "read"),
	}
}

type packetsView struct {
	Frame         ui.Frame
	Month         period.Month
	Sub           string
	Periods       []option
	Rows          []app.PacketView
	Next          string // what would be built now: a draft, or the final one
	Signs         bool
	MayBuild      bool
	MayRecipients bool
	Scope         string
	trouble
	Older, Newest, CSV string
}

const packetsShown = 50

// packetMonth is the month a page is about: the last one that is over, unless it says another.
func (w *Web) packetMonth(v *visit) (period.Month, error) {
	if text := strings.TrimSpace(v.QueryParam("period")); text != "" {
		return period.ParseMonth(text)
	}
	return period.MonthOf(w.cfg.Now()).Previous(), nil
}

func (w *Web) showPackets(v *visit) error {
	return w.packetsPage(v, http.StatusOK, trouble{}, "")
}

func (w *Web) packetsPage(v *visit, status int, wrong trouble, scope string) error {
	month, err := w.packetMonth(v)
	if err != nil {
		return err
	}
	q := app.PacketQuery{Month: month, Limit: packetsShown}
	if text := v.QueryParam("cursor"); text != "" {
		if q.Before, err = id.ParsePacket(text); err != nil {
			return fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	page, err := w.areas.Packets.Packets(v.Request().Context(), v.who, q)
	if err != nil {
		return err
	}
	at := packetsPath + "?period=" + month.String()
	view := &packetsView{
		Frame: v.frame("Packets"), Month: month, Sub: periodState(page.State, month, w.cfg.Now()), Periods: monthChoices(page.Months, month), Rows: page.Packets, Signs: page.Signs, Next: buildWords(page.State),
		MayBuild: v.may("packet", "propose"), MayRecipients: v.may("recipient", "read"), trouble: wrong, Scope: scope, CSV: packetsPath + ".csv?period=" + month.String(),
	}
	if !page.Next.IsZero() {
		view.Older = at + "&cursor=" + page.Next.String()
	}
	if !q.Before.IsZero() {
		view.Newest = at
	}
	if err := packetsSheet(month, page.Packets).paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, packetsPath+".csv", packetsFile(v, month)); err != nil {
		return err
	}
	return render(v, status, packetsPage(view))
}

// buildWords say what building now makes.
func buildWords(state period.State) string {
	if packet.StateOf(state) == packet.Final {
		return "Build the final packet now"
	}
	return "Build a draft now"
}

func packetsFile(v *visit, m period.Month) string {
	return "packets-" + v.slug + "-" + m.String() + ".csv"
}

func packetsSheet(m period.Month, rows []app.PacketView) *sheet {
	out := newSheet("packet", "period", "scope", "revision", "state", "built_at", "built_by", "files", "archive_sha256", "archive_bytes", "manifest_sha256", "record", "log_size", "superseded_by", "corrects")
	out.filter("period", m.String())
	for i := range rows {
		p := &rows[i]
		_ = out.Write([]string{
			p.ID.String(), p.Month.String(), cell(p.Scope), strconv.Itoa(p.Revision), string(p.State), p.At.Format(time.RFC3339Nano), cell(p.By.Name), strconv.Itoa(len(p.Files)), p.Archive, number(p.Bytes), p.Manifest,
			p.Record.String(), number(p.LogSize), revisionOrNothing(p.SupersededBy), corrects(p),
		})
	}
	return out
}

func revisionOrNothing(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// corrects is the revision that a packet takes the place of; nothing, if it takes none.
func corrects(p *app.PacketView) string {
	if p.Corrects == nil {
		return ""
	}
	return strconv.Itoa(p.Corrects.Revision)
}

func (w *Web) exportPackets(v *visit) error {
	month, err := w.packetMonth(v)
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	q := app.PacketQuery{Month: month, Limit: app.MaxRows}
	if part {
		q.Limit = packetsShown
		if text := v.QueryParam("cursor"); text != "" {
			if q.Before, err = id.ParsePacket(text); err != nil {
				return fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
			}
		}
	}
	page, err := w.areas.Packets.Packets(v.Request().Context(), v.who, q)
	if err != nil {
		return err
	}
	return packetsSheet(month, page.Packets).paged(part).send(v, packetsFile(v, month))
}

func (w *Web) buildPacket(v *visit) error {
	if !v.may("packet", "propose") {
		return app.ErrNotAllowed
	}
	scope := strings.TrimSpace(v.FormValue("scope"))
	month, err := period.ParseMonth(v.FormValue("month"))
	if err != nil {
		return err
	}
	ask, err := w.areas.Packets.Ask(v.Request().Context(), v.who, month, scope)
	if status, f := retold(err); status != 0 {
		return w.packetsPage(v, status, trouble{f.Message, f.Field}, scope)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, packetsPath+"/asked/"+ask.String())
}

type askedView struct {
	Frame ui.Frame
	Month period.Month
	Since string
	Why   string // it came to nothing
	Same  string // where the packet is that says all of it already; empty: one is being built
	Back  string
}

// askedAgain is after how many seconds the page of a packet that is being built looks again.
const askedAgain = 2

// showAsked shows a packet that is being built, and goes on to it.
func (w *Web) showAsked(v *visit) error {
	record, err := id.ParseRecord(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	ask, err := w.areas.Packets.Asked(v.Request().Context(), v.who, record)
	if err != nil {
		return err
	}
	view := &askedView{Frame: v.frame("Packet of " + monthName(ask.Month)), Month: ask.Month, Since: ui.Minute(ask.At), Why: ask.Why, Back: packetsPath + "?period=" + ask.Month.String()}
	switch {
	case ask.Ended && !ask.Packet.IsZero() && ask.Fresh:
		return v.Redirect(http.StatusSeeOther, packetsPath+"/"+ask.Packet.String())
	case ask.Ended && !ask.Packet.IsZero():
		view.Same = packetsPath + "/" + ask.Packet.String()
	case !ask.Ended:
		view.Frame.Refresh, view.Frame.RefreshAfter = v.Request().URL.Path, askedAgain
	}
	return render(v, http.StatusOK, askedPage(view))
}

type packetPageView struct {
	Frame      ui.Frame
	Packet     *app.PacketView
	Title, Sub string
	Figures    []figure
	Files      []packetFileRow
	Deliveries []app.PacketDelivery
	MayResend  bool
	MayList    bool
	Sendable   []option // live recipients of its scope that it was not queued for
	Record     string
	Command    string
	Alert      string
}

type packetFileRow struct {
	Name, URL, Report, Rows, Bytes, SHA256 string
}

func (w *Web) showPacket(v *visit) error { return w.packetPage(v, http.StatusOK, v.Param("id"), "") }

func (w *Web) packetPage(v *visit, status int, text, alert string) error {
	made, err := id.ParsePacket(text)
	if err != nil {
		return errPageAbsent
	}
	var delivery id.Delivery
	if text := v.QueryParam("delivery"); text != "" {
		if delivery, err = id.ParseDelivery(text); err != nil {
			return errPageAbsent
		}
	}
	ctx := v.Request().Context()
	p, err := w.areas.Packets.Packet(ctx, v.who, made, delivery)
	if err != nil {
		return err
	}
	view := &packetPageView{Packet: &p, Title: packetTitle(&p), Sub: packetSub(&p), MayResend: v.may("packet", "propose"), MayList: v.may("recipient", "read"), Alert: alert}
	view.Frame = v.frame(view.Title)
	view.Command = "tollbook verify " + strings.Join([]string{v.slug, p.Month.String()}, "-") + "….zip --log-keys KEYS.txt"
	if v.may("audit", "read") {
		view.Record = "/log/" + p.Record.String()
	}
	view.Figures = packetFigures(&p)
	for i := range p.Files {
		f := &p.Files[i]
		view.Files = append(view.Files, packetFileRow{f.File, packetURL(p.ID) + "/files/" + url.PathEscape(f.File), f.Report, ui.Count(int64(f.Rows)), ui.Count(int64(f.Bytes)), f.SHA256})
	}
	if view.MayList {
		if view.Deliveries, err = w.areas.Packets.Deliveries(ctx, v.who, made, period.Month{}); err != nil {
			return err
		}
		if view.Sendable, err = w.sendable(v, &p, view.Deliveries); err != nil {
			return err
		}
	}
	return render(v, status, packetPage(view))
}

// sendable lists the live recipients of a packet's scope that it was not queued for.
func (w *Web) sendable(v *visit, p *app.PacketView, sent []app.PacketDelivery) ([]option, error) {
	if !v.may("packet", "propose") || !p.Sealed() {
		return nil, nil
	}
	rows, err := w.areas.Packets.Recipients(v.Request().Context(), v.who)
	if err != nil {
		return nil, err
	}
	var list []option
	for i := range rows {
		r := &rows[i]
		if r.Live && r.Scope == p.Scope && !slices.ContainsFunc(sent, func(d app.PacketDelivery) bool { return d.Recipient == r.ID }) {
			list = append(list, option{Value: r.ID.String(), Label: r.Label + ", " + strings.ToLower(recipientWords(r.Kind))})
		}
	}
	return list, nil
}

func (w *Web) sendPacketTo(v *visit) error {
	if !v.may("packet", "propose") {
		return app.ErrNotAllowed
	}
	made, err := id.ParsePacket(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	recipient, err := id.ParseRecipient(v.FormValue("recipient"))
	if err != nil {
		return w.packetPage(v, http.StatusUnprocessableEntity, v.Param("id"), "Choose a recipient.")
	}
	_, err = w.areas.Packets.Send(v.Request().Context(), v.who, made, recipient)
	if status, f := retold(err); status != 0 {
		return w.packetPage(v, status, v.Param("id"), f.Message)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, packetURL(made))
}

func packetURL(p id.Packet) string { return packetsPath + "/" + p.String() }

func packetScope(scope string) string {
	if scope == "" {
		return "Whole company"
	}
	return scope
}

func packetTitle(p *app.PacketView) string {
	return fmt.Sprintf("Packet %s, revision %d", p.Month, p.Revision)
}

func packetSub(p *app.PacketView) string {
	of := "The whole company"
	if p.Scope != "" {
		of = p.Scope + " and all below it"
	}
	return fmt.Sprintf("%s in %s, built %s by %s.", of, monthName(p.Month), ui.Minute(p.At), p.By.Name)
}

// packetFigures are what a packet comes to, as its manifest says.
func packetFigures(p *app.PacketView) []figure {
	at := map[string]string{}
	for _, c := range p.Controls {
		at[c.Name] = c.Value
	}
	dollars := func(name string) string {
		c, err := money.ParseCents(at[name])
		if err != nil {
			return at[name]
		}
		return dollarCents(c)
	}
	query := "?period=" + p.Month.String()
	list := []figure{
		{Label: "Actual", Value: dollars("total_cents_usd"), URL: "/" + query, Notes: []link{{Label: "exact " + at["total_usd"]}}},
		{Label: "Requests", Value: countText(at["requests"]), Notes: []link{{Label: "that were charged or cost nothing"}}},
	}
	if at["entries"] != "" {
		list = append(list, figure{Label: "Journal", Value: dollars("debits_usd"), URL: "/journal" + query, Notes: []link{{Label: "debits, and as much in credits; " + at["entries"] + " entries"}}})
	}
	return list
}

// countText is a count of a manifest as people read it.
func countText(text string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return text
	}
	return ui.Count(n)
}

// packetState is a packet's state as icon, word and color.
func packetState(s packet.State) shownState {
	if s == packet.Final {
		return shownState{ui.ToneOK, "✓", "FINAL"}
	}
	return shownState{ui.ToneWarn, "…", "DRAFT"}
}

// packetMark is it, and whether a final packet takes another one's place.
func packetMark(p *app.PacketView) shownState {
	shown := packetState(p.State)
	shown.Words = packet.Mark(p.State, p.Corrects != nil)
	return shown
}

func (w *Web) downloadPacket(v *visit) error { return w.sendPacket(v, "") }

func (w *Web) downloadPacketFile(v *visit) error {
	name, err := url.PathUnescape(v.Param("name"))
	if err != nil || name == "" {
		return errPageAbsent
	}
	return w.sendPacket(v, name)
}

func (w *Web) sendPacket(v *visit, name string) error {
	made, err := id.ParsePacket(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	down, err := w.areas.Packets.Download(v.Request().Context(), v.who, made, name)
	if err != nil {
		return err
	}
	v.Response().Header().Set("X-Tollbook-SHA256", down.SHA256)
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", down.Name))
	return v.Blob(http.StatusOK, down.Type, down.Content)
}

func (w *Web) resendPacket(v *visit) error {
	if !v.may("packet", "propose") {
		return app.ErrNotAllowed
	}
	delivery, err := id.ParseDelivery(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	err = w.areas.Packets.Resend(v.Request().Context(), v.who, delivery)
	if status, f := retold(err); status != 0 {
		return w.packetPage(v, status, v.FormValue("packet"), f.Message)
	}
	if err != nil {
		return err
	}
	made, err := id.ParsePacket(v.FormValue("packet"))
	if err != nil {
		return v.Redirect(http.StatusSeeOther, packetsPath)
	}
	return v.Redirect(http.StatusSeeOther, packetURL(made))
}

// recipientWords is a kind of recipient as people call it.
func recipientWords(kind string) string {
	switch kind {
	case app.RecipientPerson:
		return "Person"
	case app.RecipientMail:
		return "Mail"
	case app.RecipientS3:
		return "Bucket"
	case app.RecipientWebhook:
		return "Signed webhook"
	}
	return ui.Words(kind)
}

// stepWords is how a delivery stands.
func stepWords(s notice.State) shownState { return deliveryState(s) }

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}
