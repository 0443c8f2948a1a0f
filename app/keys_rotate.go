package app

import (
	"context"
	"encoding/hex"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Bounds of a rotation.
const (
	// OverlapUsual is how long the secret before is accepted unless somebody says otherwise.
	OverlapUsual   = 24 * time.Hour
	maxOverlap     = 90 * 24 * time.Hour
	maxLiveSecrets = 5
)

// Rotation replaces a key's secret.
type Rotation struct {
	Key id.Key
	// EarlierUntil is when the secrets it has now end; zero for OverlapUsual from now, and
	// no later than a rotation before said.
	EarlierUntil time.Time
}

// RotateOnce gives a key another secret, valid at once, beside the one it has, which
// ends at an instant of the maker's choice. The key, its cost center and its terms stay.
func (k *Keys) RotateOnce(ctx context.Context, who Actor, want Rotation, reason, once string) (MadeKey, error) {
	if err := k.access.Check(who, "key", "propose"); err != nil {
		return MadeKey{}, err
	}
	var made MadeKey
	err := k.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		stored, err := doOnce(tx, k.ring, who, once, "key.rotate", map[string]any{"want": want, "reason": reason}, func() (rememberedKey, error) {
			fresh, err := k.rotate(tx, who, want, reason)
			return rememberedKey{MadeKey: fresh, Plain: fresh.Secret.Reveal()}, err
		})
		made = stored.MadeKey
		made.Secret = secret.NewText(stored.Plain)
		return err
	})
	return made, err
}

func (k *Keys) rotate(tx *db.Tx, who Actor, want Rotation, reason string) (MadeKey, error) {
	row, tree, err := k.locked(tx, who, want.Key)
	if err != nil {
		return MadeKey{}, err
	}
	view := keyView(row, tree)
	if want.EarlierUntil.IsZero() {
		want.EarlierUntil = tx.Now.Add(OverlapUsual)
	}
	until := want.EarlierUntil.UTC().Truncate(time.Microsecond)
	switch {
	case view.State(tx.Now) == KeyRevoked:
		return MadeKey{}, errKeyRevoked
	case view.State(tx.Now) == KeyExpired:
		return MadeKey{}, fault.New(fault.KindConflict, "key_expired", "That key has expired. Make a new one.")
	case until.Before(tx.Now.Add(-time.Minute)): // a minute: who chose this very instant has been typing
		return MadeKey{}, fault.Invalid("earlier_until", "earlier_until_past", "That instant has passed. The present key can end now or later.")
	case until.After(tx.Now.Add(maxOverlap)):
		return MadeKey{}, fault.Invalid("earlier_until", "earlier_until_late", "The present key can go on for at most %d days.", int(maxOverlap/(24*time.Hour)))
	}
	secrets, err := tx.KeySecrets(want.Key)
	if err != nil {
		return MadeKey{}, err
	}
	live := 0
	for _, s := range secrets {
		if s.EndsAt == nil || s.EndsAt.After(tx.Now) {
			live++
		}
	}
	if live >= maxLiveSecrets {
		return MadeKey{}, fault.New(fault.KindConflict, "key_secrets_many", "This key has five secrets that are accepted. Wait until one ends, or revoke the key.")
	}
	made := MadeKey{ID: row.ID, Label: row.Label, CostCenter: view.CostCenter, Secret: secret.Mint(keyPrefix)}
	fresh := db.FreshSecret{Version: id.NewVersion(tx.Now), Key: row.ID, Place: secrets[0].Place + 1, EarlierUntil: until}
	fresh.Hash, fresh.Hint = k.stored(made.Secret)
	p := proposal{kind: changeKeySecret, reason: reason, payload: map[string]any{
		"key": row.ID.String(), "place": fresh.Place, "key_hash": hex.EncodeToString(fresh.Hash[:]), "hint": fresh.Hint, "earlier_until": until.Format(time.RFC3339Nano),
	}}
	made.Change, err = k.changes.change(tx, who, p, func(c approval.Change) error { return tx.AddKeySecret(fresh, c.ID) })
	return made, err
}

// KeySecret is one version of a key: a secret it was or is known by.
type KeySecret struct {
	Place      int // 1 for the first
	Hint       string
	RecordedAt time.Time
	EndsAt     time.Time // zero while nothing ends it but the key itself
}

// Accepted tells whether gateways take the secret at an instant, if the key is active.
func (s KeySecret) Accepted(now time.Time) bool { return s.EndsAt.IsZero() || now.Before(s.EndsAt) }

// KeyStory is a key with everything that is known of it.
type KeyStory struct {
	KeyUsed
	Path    string // of its cost center
	Secrets []KeySecret
	History []ChangeView
}

// Story shows one key: its terms, its secrets, what it was used for this month and the
// changes that made it what it is.
func (k *Keys) Story(ctx context.Context, who Actor, key id.Key) (KeyStory, error) {
	if err := k.access.Check(who, "key", "read"); err != nil {
		return KeyStory{}, err
	}
	var story KeyStory
	err := k.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, tree, err := k.within(tx, who, key, "read")
		if err != nil {
			return err
		}
		use, err := keyUse(tx)
		if err != nil {
			return err
		}
		story = KeyStory{KeyUsed: used(keyView(row, tree), use[row.ID]), Path: tree.Path(row.NodeID)}
		secrets, err := tx.KeySecrets(key)
		if err != nil {
			return err
		}
		for _, s := range secrets {
			story.Secrets = append(story.Secrets, KeySecret{Place: s.Place, Hint: s.Hint, RecordedAt: s.RecordedAt.UTC(), EndsAt: orZero(s.EndsAt)})
		}
		changes, err := tx.KeyHistory(key)
		if err != nil {
			return err
		}
		for i := range changes {
			view, err := changeView(&changes[i])
			if err != nil {
				return err
			}
			story.History = append(story.History, view)
		}
		return nil
	})
	return story, err
}
