package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/provider"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// purposeSource is what the credential of a source is sealed for.
const purposeSource = "report-source-credential"

// ReportSource is where a company's provider reports come from, without its credential.
type ReportSource struct {
	BaseURL     string   `json:"base_url"`
	GatewayKeys []string `json:"gateway_keys"` // api_key_ids that nothing but the gateway uses
	FirstDay    string   `json:"first_day"`    // YYYY-MM-DD: days from it on are pulled
	SettleHours int      `json:"settle_hours"` // a day that reported the same for so long is settled
	RepullDays  int      `json:"repull_days"`  // for which the provider may revise a day
}

// What a source has unless something else is said.
const (
	DefaultSettleHours = 24
	DefaultRepullDays  = 30
	maxSettleHours     = 720
	maxRepullDays      = 90
	maxGatewayKeys     = 200
	maxProviderKey     = 100
)

// sourceAsk is what a maker sends; without a credential the one in use stays, at its address.
type sourceAsk struct {
	ReportSource
	Credential string `json:"credential,omitempty"` // sealed before anything is kept
}

// AskReportSource is the proposal of where provider reports come from; without a credential
// the one in use stays.
func AskReportSource(want ReportSource, credential secret.Text, reason string) Ask {
	return ask(changeSource, reason, sourceAsk{ReportSource: want, Credential: credential.Reveal()})
}

// govern tells the funnel of where provider reports come from. A second person decides: it is
// what our figures are held against.
func (r *ProviderReports) govern() {
	r.changes.govern(changeSource, governed{
		checks: "finance", floor: approval.FloorSecond, lock: (*db.Tx).LockSource, draft: r.draftSource, apply: r.applySource, impact: r.sourceImpact,
	})
}

// normal fills what was left out, and refuses what cannot be.
func (s *ReportSource) normal(now time.Time) error {
	if s.SettleHours == 0 {
		s.SettleHours = DefaultSettleHours
	}
	if s.RepullDays == 0 {
		s.RepullDays = DefaultRepullDays
	}
	if s.FirstDay == "" {
		s.FirstDay = now.AddDate(0, 0, -s.RepullDays).Format(time.DateOnly)
	}
	if s.GatewayKeys == nil {
		s.GatewayKeys = []string{}
	}
	if err := checkUpstream(s.BaseURL); err != nil {
		return err
	}
	day, err := time.Parse(time.DateOnly, s.FirstDay)
	if err != nil || day.After(now) || now.Sub(day) > provider.OldestDay*oneDay {
		return fault.Invalid("first_day", "first_day_range", "The first day that is pulled is a date of the last %d days, YYYY-MM-DD: the provider reports no further back.", provider.OldestDay)
	}
	if s.SettleHours < 1 || s.SettleHours > maxSettleHours {
		return fault.Invalid("settle_hours", "settle_range", "A day settles after 1 to %d hours.", maxSettleHours)
	}
	if s.RepullDays < 1 || s.RepullDays > maxRepullDays {
		return fault.Invalid("repull_days", "repull_range", "Days are pulled again for 1 to %d days.", maxRepullDays)
	}
	if len(s.GatewayKeys) > maxGatewayKeys {
		return fault.Invalid("gateway_keys", "gateway_keys_many", "At most %d keys may be the gateway’s.", maxGatewayKeys)
	}
	s.GatewayKeys = slices.Clone(s.GatewayKeys)
	slices.Sort(s.GatewayKeys)
	s.GatewayKeys = slices.Compact(s.GatewayKeys)
	for _, key := range s.GatewayKeys {
		if key == "" || usage.Clip(key, maxProviderKey) != key || strings.ContainsRune(key, ' ') || strings.HasPrefix(key, "sk-") {
			return fault.Invalid("gateway_keys", "gateway_key_syntax", "A key is listed by the provider’s id of it, such as apikey_01…, never by the key itself.")
		}
	}
	return nil
}

func (r *ProviderReports) draftSource(tx *db.Tx, who Actor, payload []byte, _ time.Time) (draft, error) {
	var asked sourceAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	sealed, err := r.checkSource(tx, who, &asked.ReportSource, secret.NewText(asked.Credential))
	if err != nil {
		return draft{}, err
	}
	if sealed == nil {
		return draft{}, errSourceSame
	}
	return draft{
		payload: asked.ReportSource,
		store:   func(tx *db.Tx, c approval.Change) error { return tx.KeepSealed(c.ID, sealed) },
	}, nil
}

// checkSource refuses a source that cannot be, and seals its credential, unless all is as it
// is already (nil). A credential that is in use stays at the address it was given for.
func (r *ProviderReports) checkSource(tx *db.Tx, who Actor, want *ReportSource, credential secret.Text) ([]byte, error) {
	if err := want.normal(tx.Now); err != nil {
		return nil, err
	}
	if err := r.tenants.reaches(tx, who, want.BaseURL); err != nil {
		return nil, err
	}
	now, inUse, err := r.source(tx)
	if err != nil && fault.KindOf(err) != fault.KindNotFound {
		return nil, err
	}
	if credential.IsZero() {
		if now.BaseURL != want.BaseURL {
			return nil, fault.Invalid("credential", "source_credential", "Name the Admin API key with the address: it goes to no other than the one it was given for.")
		}
		credential = inUse
	}
	if err := checkCredential(credential); err != nil {
		return nil, err
	}
	if now.Version > 0 && sameSource(sourceOf(&now), *want) && inUse.Reveal() == credential.Reveal() {
		return nil, nil
	}
	return r.ring.Seal(purposeSource, tx.Tenant.String(), []byte(credential.Reveal())), nil
}

var errSourceSame = fault.Invalid("base_url", "source_same", "That is where reports come from already: nothing would change.")

func sameSource(a, b ReportSource) bool {
	return a.BaseURL == b.BaseURL && slices.Equal(a.GatewayKeys, b.GatewayKeys) && a.FirstDay == b.FirstDay && a.SettleHours == b.SettleHours && a.RepullDays == b.RepullDays
}

func sourceOf(row *db.SourceRow) ReportSource {
	return ReportSource{BaseURL: row.BaseURL, GatewayKeys: row.Keys(), FirstDay: row.FirstDay.Format(time.DateOnly), SettleHours: row.SettleHours, RepullDays: row.RepullDays}
}

func (r *ProviderReports) applySource(tx *db.Tx, c approval.Change) error {
	var want ReportSource
	if err := stored(c, &want); err != nil {
		return err
	}
	sealed, err := tx.KeptDocument(c.ID)
	if err != nil {
		return err
	}
	if _, err := r.ring.Open(purposeSource, tx.Tenant.String(), sealed); err != nil {
		return fmt.Errorf("open credential of %s: %w", c.ID, err)
	}
	return addSource(tx, want, sealed, c)
}

func addSource(tx *db.Tx, want ReportSource, sealed []byte, c approval.Change) error {
	first, err := time.Parse(time.DateOnly, want.FirstDay)
	if err != nil {
		return fmt.Errorf("read first day of %s: %w", c.ID, err)
	}
	return tx.AddSource(&db.SourceRow{
		BaseURL: want.BaseURL, CredentialSealed: sealed, GatewayKeys: strings.Join(want.GatewayKeys, "\n"), FirstDay: first, SettleHours: want.SettleHours,
		RepullDays: want.RepullDays, EffectiveFrom: later(c.EffectiveFrom, tx.Now), ChangeID: c.ID,
	})
}

// SetSource says where provider reports come from, at once, where nobody has to decide.
// Setting what is set already changes nothing.
func (r *ProviderReports) SetSource(ctx context.Context, who Actor, want ReportSource, credential secret.Text, reason string) error {
	if err := r.changes.allowed(who, changeSource); err != nil {
		return err
	}
	return r.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockSource(); err != nil {
			return err
		}
		sealed, err := r.checkSource(tx, who, &want, credential)
		if err != nil || sealed == nil {
			return err
		}
		_, err = r.changes.change(tx, who, proposal{kind: changeSource, payload: want, reason: reason}, func(c approval.Change) error { return addSource(tx, want, sealed, c) })
		return err
	})
}

func (r *ProviderReports) sourceImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var want ReportSource
	if err := stored(c, &want); err != nil {
		return approval.Impact{}, err
	}
	rows, err := tx.Sources(1)
	if err != nil {
		return approval.Impact{}, err
	}
	now := ReportSource{BaseURL: "nowhere"}
	if len(rows) > 0 {
		now = sourceOf(&rows[0])
	}
	sentence := fmt.Sprintf("The provider’s usage and cost reports come from %s instead of %s, of days from %s on, and again for %d days; a day settles after %d hours. %s",
		want.BaseURL, now.BaseURL, want.FirstDay, want.RepullDays, want.SettleHours, keysSentence(now.GatewayKeys, want.GatewayKeys))
	return approval.Impact{Sentence: sentence}, nil
}

// keysSentence says which keys become the gateway's, and which are no longer.
func keysSentence(before, after []string) string {
	without := func(list, others []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(key string) bool { return slices.Contains(others, key) })
	}
	more, fewer := without(after, before), without(before, after)
	text := fmt.Sprintf("The gateway alone uses %d of the provider’s keys.", len(after))
	if len(more) > 0 {
		text += " Added: " + usage.Clip(strings.Join(more, ", "), 300) + "."
	}
	if len(fewer) > 0 {
		text += " Taken off: " + usage.Clip(strings.Join(fewer, ", "), 300) + "."
	}
	return text
}
