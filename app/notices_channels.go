package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// Purposes of what is sealed of a channel.
const (
	purposeChannelURL    = "channel-url"
	purposeChannelSecret = "channel-secret"
)

const (
	maxChannels     = 10  // live ones of a company
	maxChannelsList = 200 // those that ended among them
	maxChannelLabel = 80
)

var errChannelsMany = fault.New(fault.KindConflict, "channels_many", "There are ten channels already. End one first.")

// governChannels registers the kinds of changes about channels.
func (n *Notices) governChannels() {
	g := governed{checks: "access", lock: (*db.Tx).LockChannels, draft: n.draftChannel, apply: n.applyChannel, impact: channelImpact}
	n.changes.govern(changeChannel, g)
	g.draft, g.apply, g.impact = n.draftChannelEnd, n.applyChannelEnd, channelEndImpact
	n.changes.govern(changeChannelEnd, g)
}

// channelPayload is what a record of the log says of a channel: never its whole address.
type channelPayload struct {
	Channel id.Channel `json:"channel"`
	Kind    string     `json:"kind"`
	Label   string     `json:"label"`
	Host    string     `json:"host"`
}

// draftChannel makes a proposal of a channel. Its address and secret are sealed beside
// the payload and never part of it.
func (n *Notices) draftChannel(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var ask struct{ Kind, Label, URL, Secret string }
	if err := json.Unmarshal(payload, &ask); err != nil {
		return draft{}, fault.Invalid("payload", "channel_syntax", `The payload is {"kind":"slack" or "webhook","label":"…","url":"https://…"}.`)
	}
	kind := notice.ChannelKind(ask.Kind)
	if kind != notice.Slack && kind != notice.Webhook {
		return draft{}, fault.Invalid("kind", "channel_kind", "A channel is slack or webhook.")
	}
	if ask.Label = strings.TrimSpace(ask.Label); ask.Label == "" || usage.Clip(ask.Label, maxChannelLabel) != ask.Label {
		return draft{}, fault.Invalid("label", "channel_label", "A label has 1 to %d bytes of printable UTF-8.", maxChannelLabel)
	}
	u, err := notice.ParseURL(ask.URL, n.rules.Development)
	if err != nil {
		return draft{}, err
	}
	rows, err := tx.Channels(maxChannelsList)
	if err != nil {
		return draft{}, err
	}
	if live := slices.DeleteFunc(rows, func(r db.ChannelRow) bool { return !r.Live }); len(live) >= maxChannels {
		return draft{}, errChannelsMany
	}
	channel := id.NewChannel(tx.Now)
	row := db.ChannelRow{ChannelID: channel, Kind: ask.Kind, Label: ask.Label, Host: u.Host, URLSealed: n.ring.Seal(purposeChannelURL, channel.String(), []byte(ask.URL))}
	if kind == notice.Webhook {
		if ask.Secret == "" {
			ask.Secret = notice.NewSecret()
		}
		if _, err := notice.Sign(ask.Secret, "x", tx.Now, nil); err != nil {
			return draft{}, fault.Invalid("secret", "channel_secret", "The secret is whsec_ and base64.")
		}
		row.SecretSealed = n.ring.Seal(purposeChannelSecret, channel.String(), []byte(ask.Secret))
	}
	return draft{
		payload: channelPayload{Channel: channel, Kind: ask.Kind, Label: ask.Label, Host: u.Host},
		store: func(tx *db.Tx, c approval.Change) error {
			row.ChangeID = c.ID
			return tx.AddChannel(&row)
		},
	}, nil
}

// applyChannel has nothing to store: a channel is live when its change is applied.
func (n *Notices) applyChannel(*db.Tx, approval.Change) error { return nil }

func channelImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var p channelPayload
	if err := json.Unmarshal(c.Payload, &p); err != nil {
		return approval.Impact{}, fmt.Errorf("read channel: %w", err)
	}
	return approval.Impact{Sentence: fmt.Sprintf("%s hears of every change: its number, kind, amount and state, and no names.", p.Host)}, nil
}

func (n *Notices) draftChannelEnd(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var p struct {
		Channel id.Channel `json:"channel"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return draft{}, fault.Invalid("payload", "channel_syntax", `The payload is {"channel":"chn_…"}.`)
	}
	row, err := channelOf(tx, p.Channel)
	if err != nil {
		return draft{}, err
	}
	return draft{payload: channelPayload{Channel: row.ChannelID, Kind: row.Kind, Label: row.Label, Host: row.Host}}, nil
}

func (n *Notices) applyChannelEnd(tx *db.Tx, c approval.Change) error {
	var p channelPayload
	if err := json.Unmarshal(c.Payload, &p); err != nil {
		return fmt.Errorf("read channel: %w", err)
	}
	ended, err := tx.EndChannel(p.Channel, c.ID)
	if err == nil && !ended {
		err = db.ErrChannelAbsent
	}
	return err
}

func channelEndImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var p channelPayload
	if err := json.Unmarshal(c.Payload, &p); err != nil {
		return approval.Impact{}, fmt.Errorf("read channel: %w", err)
	}
	return approval.Impact{Sentence: fmt.Sprintf("%s hears of no change any more.", p.Host)}, nil
}

// channelOf finds a live channel.
func channelOf(tx *db.Tx, channel id.Channel) (db.ChannelRow, error) {
	rows, err := tx.Channels(maxChannelsList)
	if err != nil {
		return db.ChannelRow{}, err
	}
	for i := range rows {
		if rows[i].ChannelID == channel && rows[i].Live {
			return rows[i], nil
		}
	}
	return db.ChannelRow{}, db.ErrChannelAbsent
}

// toChannels stores what a company's own systems are due.
func (n *Notices) toChannels(tx *db.Tx, h *happening, view *ChangeView) error {
	rows, err := tx.Channels(maxChannelsList)
	if err != nil {
		return err
	}
	for i := range rows {
		if rows[i].Live {
			if err := n.toChannel(tx, &rows[i], h.record, h.purpose, view); err != nil {
				return err
			}
		}
	}
	return nil
}

// toChannel stores what one system is due.
func (n *Notices) toChannel(tx *db.Tx, channel *db.ChannelRow, event id.Record, purpose notice.Purpose, view *ChangeView) error {
	tenant, err := tx.TenantRow()
	if err != nil {
		return err
	}
	telling := notice.Telling{
		Type: "change." + string(purpose), Timestamp: event.Time(), Event: event, Channel: channel.ChannelID,
		Data: notice.Facts{
			Tenant: tenant.Slug, Change: view.ID, Number: view.Number, Kind: view.Kind, State: string(view.State), Maker: view.Maker, EffectiveFrom: view.EffectiveFrom,
			AmountMoved: view.Impact.Moved.Display().String(), Digest: view.DigestText(), URL: changeURL(n.rules.PublicURL, tenant.Slug, view.ID),
		},
	}
	body, err := telling.Body(notice.ChannelKind(channel.Kind), n.rules.Words(view.Kind))
	if err != nil {
		return err
	}
	return n.due(tx, &db.DeliveryRow{RecordID: event, ChangeID: view.ID, Channel: channel.Kind, Purpose: string(purpose), ChannelID: channel.ChannelID, Content: body, ContentSHA256: telling.Digest(body)})
}

// post fills in what a system is sent.
func (n *Notices) post(tx *db.Tx, row *db.DeliveryRow, a *Dispatch) (why string, err error) {
	channel, err := channelOf(tx, row.ChannelID)
	if errors.Is(err, db.ErrChannelAbsent) {
		return "The channel has ended.", nil
	}
	if err != nil {
		return "", err
	}
	target, err := n.ring.Open(purposeChannelURL, channel.ChannelID.String(), channel.URLSealed)
	if err != nil {
		return "", fmt.Errorf("open a channel's address: %w", err)
	}
	a.Post = &Post{Kind: a.kind, URL: secret.NewText(string(target)), Body: row.Content}
	if a.kind == notice.Webhook {
		key, err := n.ring.Open(purposeChannelSecret, channel.ChannelID.String(), channel.SecretSealed)
		if err != nil {
			return "", fmt.Errorf("open a channel's secret: %w", err)
		}
		a.Post.Secret = secret.NewText(string(key))
	}
	return "", nil
}

// ChannelView is a system of the company's own that hears of changes.
type ChannelView struct {
	ID      id.Channel
	Kind    notice.ChannelKind
	Label   string
	Host    string
	State   approval.State // of the change that proposes it
	Live    bool
	EndedAt time.Time // zero: it was not ended
	Since   time.Time
	By      Hand
	Change  id.Change
	Number  int64
	Reason  string
}

// Channels lists a company's channels, newest first.
func (n *Notices) Channels(ctx context.Context, who Actor) ([]ChannelView, error) {
	if err := n.changes.access.Check(who, "channel", "read"); err != nil {
		return nil, err
	}
	var list []ChannelView
	err := n.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Channels(maxChannelsList)
		if err != nil {
			return err
		}
		makers := make([]string, 0, len(rows))
		for i := range rows {
			makers = append(makers, rows[i].Maker)
		}
		hands, err := n.members.hands(tx, makers)
		if err != nil {
			return err
		}
		for i := range rows {
			r := &rows[i]
			one := ChannelView{
				ID: r.ChannelID, Kind: notice.ChannelKind(r.Kind), Label: r.Label, Host: r.Host, State: approval.State(r.State), Live: r.Live, Since: r.RecordedAt.UTC(), By: hands[r.Maker],
				Change: r.ChangeID, Number: r.Number, Reason: r.Reason,
			}
			if r.EndedAt != nil {
				one.EndedAt = r.EndedAt.UTC()
			}
			list = append(list, one)
		}
		return nil
	})
	return list, err
}

// MadeChannel is a channel as its maker sees it, once.
type MadeChannel struct {
	ChangeView

	Secret secret.Text // of a signed webhook; empty for the others
}

// AddChannel proposes a channel. Where the company's policies ask nobody, it is live at once.
func (n *Notices) AddChannel(ctx context.Context, who Actor, kind notice.ChannelKind, label, address, reason string) (MadeChannel, error) {
	made := MadeChannel{}
	ask := map[string]string{"kind": string(kind), "label": label, "url": address}
	if kind == notice.Webhook {
		made.Secret = secret.NewText(notice.NewSecret())
		ask["secret"] = made.Secret.Reveal()
	}
	payload, err := json.Marshal(ask)
	if err != nil {
		return made, fmt.Errorf("encode channel: %w", err)
	}
	made.ChangeView, err = n.approvals.Propose(ctx, who, Ask{Kind: changeChannel, Payload: payload, Reason: reason}, "")
	return made, err
}

// EndChannel proposes to end a channel.
func (n *Notices) EndChannel(ctx context.Context, who Actor, channel id.Channel, reason string) (ChangeView, error) {
	return n.approvals.Propose(ctx, who, Ask{Kind: changeChannelEnd, Payload: []byte(`{"channel":"` + channel.String() + `"}`), Reason: reason}, "")
}

// TestChannel asks for a message that says nothing but that it is one, and records that.
func (n *Notices) TestChannel(ctx context.Context, who Actor, channel id.Channel) error {
	if err := n.changes.allowed(who, changeChannel); err != nil {
		return err
	}
	return n.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := channelOf(tx, channel)
		if err != nil {
			return err
		}
		event := auditlog.Record{ID: id.NewRecord(tx.Now), Action: "notice.tested", Actor: who.ID(), Subject: channel.String(), Detail: map[string]any{"host": row.Host}}
		if err := tx.AppendAudit(event); err != nil {
			return err
		}
		view, err := n.view(tx, row.ChangeID)
		if err != nil {
			return err
		}
		return n.toChannel(tx, &row, event.ID, notice.Tested, &view)
	})
}
