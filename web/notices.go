package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/web/ui"
)

const (
	channelsPath   = "/settings/channels"
	deliveriesPath = "/settings/deliveries"
)

// noticePages are the pages of who hears of changes, and how.
func (w *Web) noticePages() []Route {
	return []Route{
		w.page(http.MethodGet, channelsPath, w.showChannels, "channel", "read"),
		w.page(http.MethodPost, channelsPath, w.addChannel, "channel", "propose"),
		w.page(http.MethodPost, channelsPath+"/:id/test", w.testChannel, "channel", "propose"),
		w.page(http.MethodPost, channelsPath+"/:id/end", w.endChannel, "channel", "propose"),
		w.page(http.MethodGet, deliveriesPath, w.showDeliveries, "delivery", "read"),
		w.page(http.MethodGet, deliveriesPath+".csv", w.exportDeliveries, "delivery", "read"),
		w.page(http.MethodPost, deliveriesPath+"/:id/resend", w.resend, "delivery", "propose"),
		w.page(http.MethodPost, "/account/mail", w.chooseMail, "mute", "propose"),
	}
}

type channelsView struct {
	Frame     ui.Frame
	Rows      []app.ChannelView
	MailOn    bool
	MayChange bool
	MayLog    bool
	Alert     string
	Form      channelForm
}

// channelForm is what was filled in, and what was wrong with it.
type channelForm struct {
	trouble
	Kind, Label, Reason string

	Kinds []option
}

func (w *Web) showChannels(v *visit) error {
	return w.channelsPage(v, http.StatusOK, channelForm{}, "")
}

func (w *Web) channelsPage(v *visit, status int, form channelForm, alert string) error {
	rows, err := w.areas.Notices.Channels(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	view := &channelsView{
		Frame: v.frame("Mail and channels"), Rows: rows, MailOn: w.areas.Notices.MailOn(), MayChange: v.may("channel", "propose"), MayLog: v.may("delivery", "read"), Alert: alert, Form: form,
	}
	for _, kind := range []notice.ChannelKind{notice.Slack, notice.Webhook} {
		view.Form.Kinds = append(view.Form.Kinds, option{Value: string(kind), Label: channelWords(kind), Selected: form.Kind == string(kind)})
	}
	return render(v, status, channelsPage(view))
}

func channelWords(kind notice.ChannelKind) string {
	switch kind {
	case notice.Slack:
		return "Slack form"
	case notice.Webhook:
		return "Signed webhook"
	case notice.Mail:
	}
	return "Mail"
}

type madeChannelView struct {
	Frame   ui.Frame
	Label   string
	Secret  string
	Waiting bool
}

func (w *Web) addChannel(v *visit) error {
	if !v.may("channel", "propose") {
		return app.ErrNotAllowed
	}
	form := channelForm{Kind: v.FormValue("kind"), Label: strings.TrimSpace(v.FormValue("label")), Reason: v.FormValue("reason")}
	made, err := w.areas.Notices.AddChannel(v.Request().Context(), v.who, notice.ChannelKind(form.Kind), form.Label, strings.TrimSpace(v.FormValue("url")), form.Reason)
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.channelsPage(v, status, form, "")
	}
	if err != nil || made.Secret.IsZero() {
		return v.proposed(made.ChangeView, err, channelsPath)
	}
	// The answer to the form is the page itself: a redirect would have to carry the secret.
	return render(v, http.StatusCreated, madeChannelPage(&madeChannelView{Frame: v.frame("Channel made"), Label: form.Label, Secret: made.Secret.Reveal(), Waiting: made.Open()}))
}

// channel is the channel a page is about.
func (v *visit) channel() (id.Channel, error) {
	if !v.may("channel", "propose") {
		return id.Channel{}, app.ErrNotAllowed
	}
	channel, err := id.ParseChannel(v.Param("id"))
	if err != nil {
		return id.Channel{}, errPageAbsent
	}
	return channel, nil
}

func (w *Web) testChannel(v *visit) error {
	channel, err := v.channel()
	if err != nil {
		return err
	}
	if err := w.areas.Notices.TestChannel(v.Request().Context(), v.who, channel); err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, deliveriesPath)
}

func (w *Web) endChannel(v *visit) error {
	channel, err := v.channel()
	if err != nil {
		return err
	}
	made, err := w.areas.Notices.EndChannel(v.Request().Context(), v.who, channel, "ended on the page of channels")
	if status, f := retold(err); status != 0 {
		return w.channelsPage(v, status, channelForm{}, f.Message)
	}
	return v.proposed(made, err, channelsPath)
}

type deliveriesView struct {
	Frame     ui.Frame
	Page      app.DeliveryPage
	MailOn    bool
	MayResend bool
	Filtered  bool
	States    []option
	Channels  []option
	Number    string
	CSV       string
	Older     string
	Newest    string
	Alert     string
}

// deliveriesShown is a page of deliveries.
const deliveriesShown = 50

// deliveryQuery is what the URL asks for.
func (v *visit) deliveryQuery() (app.DeliveryAsk, error) {
	ask := app.DeliveryAsk{State: v.QueryParam("state"), Channel: v.QueryParam("channel"), Limit: deliveriesShown}
	if text := strings.TrimSpace(v.QueryParam("change")); text != "" {
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil || number < 1 {
			return ask, fault.Invalid("change", "number_syntax", "A change has a number, such as 214; not %.40q.", text)
		}
		ask.Number = number
	}
	if text := v.QueryParam("cursor"); text != "" {
		before, err := id.ParseDelivery(text)
		if err != nil {
			return ask, fault.Invalid("cursor", "cursor_syntax", "That is no place in this list.")
		}
		ask.Before = before
	}
	return ask, nil
}

func (w *Web) showDeliveries(v *visit) error {
	return w.deliveriesPage(v, http.StatusOK, "")
}

func (w *Web) deliveriesPage(v *visit, status int, alert string) error {
	ask, err := v.deliveryQuery()
	if err != nil {
		return err
	}
	page, err := w.areas.Notices.Deliveries(v.Request().Context(), v.who, ask)
	if err != nil {
		return err
	}
	chosen := url.Values{}
	for name, value := range map[string]string{"state": ask.State, "channel": ask.Channel, "change": v.QueryParam("change")} {
		if value != "" {
			chosen.Set(name, value)
		}
	}
	view := &deliveriesView{
		Frame: v.frame("Deliveries"), Page: page, MailOn: w.areas.Notices.MailOn(), MayResend: v.may("delivery", "propose"), Filtered: len(chosen) > 0, Number: v.QueryParam("change"), Alert: alert,
		CSV: deliveriesPath + ".csv" + querySuffix(chosen.Encode()),
	}
	view.States = []option{{Label: "All states"}, {Value: app.StateWaiting, Label: "Not at an end", Selected: ask.State == app.StateWaiting}}
	for _, s := range notice.States() {
		view.States = append(view.States, option{Value: string(s), Label: deliveryState(s).Words, Selected: ask.State == string(s)})
	}
	view.Channels = []option{{Label: "Mail and channels"}}
	for _, kind := range []notice.ChannelKind{notice.Mail, notice.Slack, notice.Webhook} {
		view.Channels = append(view.Channels, option{Value: string(kind), Label: channelWords(kind), Selected: ask.Channel == string(kind)})
	}
	if !ask.Before.IsZero() {
		view.Newest = deliveriesPath + querySuffix(chosen.Encode())
	}
	if !page.Next.IsZero() {
		chosen.Set("cursor", page.Next.String())
		view.Older = deliveriesPath + querySuffix(chosen.Encode())
	}
	if err := deliveriesSheet(page.Rows).paged(view.Older != "" || view.Newest != "").prints(v, &view.Frame, deliveriesPath+".csv", deliveriesFile(v)); err != nil {
		return err
	}
	return render(v, status, deliveriesPage(view))
}

var errDeliveriesLarge = fault.New(fault.KindInvalid, "export_too_large", "Too many deliveries match for one file. Narrow them by state, channel or change.")

func (w *Web) exportDeliveries(v *visit) error {
	ask, err := v.deliveryQuery()
	if err != nil {
		return err
	}
	part, err := v.onePage()
	if err != nil {
		return err
	}
	if !part {
		ask.Before, ask.Limit = id.Delivery{}, app.MaxDeliveries
	}
	var rows []app.DeliveryView
	for range maxExport / app.MaxDeliveries {
		page, err := w.areas.Notices.Deliveries(v.Request().Context(), v.who, ask)
		if err != nil {
			return err
		}
		rows = append(rows, page.Rows...)
		if page.Next.IsZero() || part {
			return deliveriesSheet(rows).paged(part).send(v, deliveriesFile(v))
		}
		ask.Before = page.Next
	}
	return errDeliveriesLarge
}

func deliveriesFile(v *visit) string { return "deliveries-" + v.slug + ".csv" }

func deliveriesSheet(rows []app.DeliveryView) *sheet {
	out := newSheet("delivery", "change", "kind", "purpose", "channel", "to", "due_at", "state", "state_at", "attempts", "answer")
	for i := range rows {
		d := &rows[i]
		to := d.To.Name
		if d.Channel != notice.Mail {
			to = d.Label
		}
		_ = out.Write([]string{
			d.ID.String(), strconv.FormatInt(d.Number, 10), d.Kind, string(d.Purpose), string(d.Channel), cell(to), instantText(d.DueAt), string(d.State), instantText(d.StateAt),
			strconv.Itoa(d.Tries), cell(d.Answer),
		})
	}
	return out
}

func (w *Web) resend(v *visit) error {
	if !v.may("delivery", "propose") {
		return app.ErrNotAllowed
	}
	delivery, err := id.ParseDelivery(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	err = w.areas.Notices.Resend(v.Request().Context(), v.who, delivery)
	if status, f := retold(err); status != 0 {
		return w.deliveriesPage(v, status, f.Message)
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, deliveriesPath)
}

// shownState is a state as icon, word and color.
type shownState struct {
	Tone        ui.Tone
	Icon, Words string
}

func deliveryState(s notice.State) shownState {
	switch s {
	case notice.Accepted:
		return shownState{ui.ToneOK, "✓", "Accepted"}
	case notice.Failed:
		return shownState{ui.ToneWarn, "!", "Failed, tried again"}
	case notice.Refused:
		return shownState{ui.ToneStop, "×", "Refused"}
	case notice.GivenUp:
		return shownState{ui.ToneStop, "×", "Given up"}
	case notice.Dropped:
		return shownState{ui.TonePlain, "–", "Not needed any more"}
	case notice.Interrupted:
		return shownState{ui.ToneWarn, "!", "Interrupted"}
	case notice.Attempted:
		return shownState{ui.TonePlain, "…", "Being sent"}
	case notice.Queued:
	}
	return shownState{ui.TonePlain, "…", "Waits"}
}

func purposeWords(p notice.Purpose) string {
	switch p {
	case notice.Asked:
		return "is asked to decide"
	case notice.Reminded:
		return "is reminded"
	case notice.Questioned:
		return "hears a question"
	case notice.Commented:
		return "hears a comment"
	case notice.Told:
		return "is told as an owner"
	case notice.Delegated:
		return "hears of a delegation"
	case notice.Undelegated:
		return "hears of its end"
	case notice.Tested:
		return "is tested"
	case notice.Requested:
		return "is asked for an answer"
	case notice.Recalled:
		return "is reminded of an answer"
	case notice.Answered:
		return "hears an answer"
	case notice.Fell:
		return "hears of fallen signatures"
	case notice.StepApproved:
		return "hears: one more approval"
	case notice.Applied, notice.Rejected, notice.Withdrawn, notice.Expired, notice.Proposed, notice.Revised, notice.Escalated:
	}
	return "hears: " + string(p)
}

func triesWords(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}

// mailChoice is one topic as the page of one's account shows it.
type mailChoice struct {
	Value, Label string
	Muted        bool
}

func (w *Web) mailChoices(v *visit) ([]mailChoice, error) {
	muted, err := w.areas.Notices.Muted(v.Request().Context(), v.who)
	if err != nil {
		return nil, err
	}
	var list []mailChoice
	for _, topic := range notice.Topics() {
		one := mailChoice{Value: string(topic), Label: topicWords(topic)}
		for _, m := range muted {
			one.Muted = one.Muted || m == topic
		}
		list = append(list, one)
	}
	return list, nil
}

func topicWords(t notice.Topic) string {
	switch t {
	case notice.TopicAsked:
		return "that I am asked to decide"
	case notice.TopicReminders:
		return "reminders of that"
	case notice.TopicRemarks:
		return "questions and comments on changes I made or decided"
	case notice.TopicOutcomes:
		return "what became of changes I made or decided"
	}
	return string(t)
}

// chooseMail sets what mail somebody gets: what is not checked is muted.
func (w *Web) chooseMail(v *visit) error {
	if !v.may("mute", "propose") {
		return app.ErrNotAllowed
	}
	if _, err := v.FormParams(); err != nil {
		return errPageAbsent
	}
	wanted := map[string]bool{}
	for _, topic := range v.Request().Form["topic"] {
		wanted[topic] = true
	}
	var muted []string
	for _, topic := range notice.Topics() {
		if !wanted[string(topic)] {
			muted = append(muted, string(topic))
		}
	}
	if err := w.areas.Notices.Mute(v.Request().Context(), v.who, muted); err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/account#mail")
}
